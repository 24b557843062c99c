"""Servers of storages that tests start, and what Flink's own plugins do with them."""
