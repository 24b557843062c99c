"""A stand-in for the official `pulumi-resource-command` plugin, for machines that cannot download it.

It is a Pulumi resource provider over gRPC that offers `command:remote:Command`, `command:remote:CopyToRemote`
and `command:local:Command` with the behaviour of the official v1.2.1. A cloud user never gets it.
"""

VERSION = "1.2.1"
"""The version of the official plugin that this one behaves as; the engine asks for the SDK's version."""
