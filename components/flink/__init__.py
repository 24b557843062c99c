"""Apache Flink on hosts of any provider."""
