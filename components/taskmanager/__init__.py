"""TaskManagers."""
