"""Stand-ins for the plugins `pulumi-resource-aws` and `pulumi-resource-tls`, for machines that cannot download them.

They are pure clients of the AWS API: what they are pointed at by `aws:endpoints` is what they create things in. They
know the types of one program, and refuse everything else; nobody who has the official plugins ever gets them.
"""
