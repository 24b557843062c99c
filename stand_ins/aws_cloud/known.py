"""What moto's process and the data center both know."""

PUBLIC = "198.51.100.0/24"
"""TEST-NET-2 (RFC 5737): the public addresses of instances."""
WATCHER = "lab-cloud"
"""In the user agent of the data center: its own requests are not changes."""
