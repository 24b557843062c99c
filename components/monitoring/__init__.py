"""The monitoring host, and what every host shows to it."""
