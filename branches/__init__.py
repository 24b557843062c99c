"""Previews that a reviewer can read, and a cluster of its own for every branch: `python -m branches --help`."""
