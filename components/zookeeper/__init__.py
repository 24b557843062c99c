"""The ZooKeeper ensemble."""
