"""A stand-in for the official `pulumi-resource-command` plugin, for machines that cannot download it.

It is a Pulumi resource provider over gRPC that offers `command:remote:Command`, `command:remote:CopyToRemote`
and `command:local:Command` with the behavior of the official v1.2.1. Users of a cloud never get it.
"""

VERSION = "1.2.1"
"""The version of the official plugin that this one imitates; the engine requests the SDK's version."""
