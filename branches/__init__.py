"""Previews for reviewers, and a separate cluster for every branch: `python -m branches --help`."""
