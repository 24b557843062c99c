"""Existing hosts and storage, from the inventory and the configuration."""
