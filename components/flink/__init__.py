"""Apache Flink on hosts, whoever made them."""
