"""Logs: an agent on every host, and the store on the monitoring host."""
