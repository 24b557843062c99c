"""Shared by programs for developers of this project: progress lines, parallel tasks, the cache, the error class."""
