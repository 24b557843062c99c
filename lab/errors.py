"""What goes wrong in the lab, said so that a person knows what to do next."""


class LabError(Exception):
    """The lab cannot do what was asked; the message names what and says how to go on."""
