"""Faults on a lab under a counting job: lost and duplicated records, and downtime: `python -m drill`."""
