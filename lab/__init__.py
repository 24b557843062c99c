"""This machine as a data centre: Debian hosts, an S3 server, archives, the Pulumi engine."""
