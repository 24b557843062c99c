"""Hosts and storage that are there already: this provider takes them as the inventory and the configuration name
them.
"""
