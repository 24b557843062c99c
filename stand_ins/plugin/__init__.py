"""What a Pulumi resource provider over gRPC needs whatever it provides: our stand-ins are built on it."""
