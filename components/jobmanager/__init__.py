"""JobManagers."""
