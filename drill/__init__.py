"""Faults on a lab while a job counts: what is lost, what is doubled, and for how long: `python -m drill`."""
