"""Java's properties files, which zoo.cfg is one of (java.util.Properties.load)."""


def escaped(value: object) -> str:
    """A key or value that `Properties.load` reads back as it is. Raises ValueError for what is not ASCII on a line."""
    text = str(value)
    if not (text.isascii() and text.isprintable()):
        raise ValueError(f"{text!r} cannot be in a properties file: expected printable ASCII")
    text = text.replace("\\", "\\\\")
    return f"\\{text}" if text.startswith(" ") else text
