"""What moto's process and the one that makes its instances real both know."""

PUBLIC = "198.51.100.0/24"
"""TEST-NET-2 (RFC 5737): what instances have as public addresses."""
WATCHER = "lab-cloud"
"""In the user agent of whoever watches: what only it asks is no change."""
