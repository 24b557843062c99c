"""Pulumi components: what a cluster is made of. Data flows one way: settings, hosts and storage, Flink, outputs."""
