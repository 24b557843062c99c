"""What every Pulumi resource provider over gRPC needs; our stand-ins are built on it."""
