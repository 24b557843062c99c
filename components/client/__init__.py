"""Client hosts."""
