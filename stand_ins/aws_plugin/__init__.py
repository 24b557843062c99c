"""Stand-ins for the plugins `pulumi-resource-aws` and `pulumi-resource-tls`, for machines that cannot download them.

They are pure clients of the AWS API at the addresses in `aws:endpoints`. They support the types of one program, and
refuse everything else. They are never used where the official plugins are available.
"""
