"""Measured comparisons on lab hosts, printed as ratios: `python -m bench`."""
