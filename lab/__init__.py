"""This machine as a data center: Debian hosts, an S3 server, archives, the Pulumi engine."""
