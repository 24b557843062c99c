"""Hosts and storage that are there already, taken as the inventory and the configuration name them."""
