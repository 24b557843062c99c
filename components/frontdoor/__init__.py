"""The front door: the proxy on each JobManager's host through which people and machines reach Flink's REST API."""
