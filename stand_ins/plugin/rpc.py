"""What both directions of the gRPC connection with the engine share."""

MESSAGE_SIZE_OPTIONS = [
    ("grpc.max_receive_message_length", 400 << 20),
    ("grpc.max_send_message_length", 400 << 20),
]
"""The engine's own limit, 400 MB: the default of 4 MB is too small for the output of some commands."""
