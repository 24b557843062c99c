"""Texts for messages."""

from collections.abc import Sequence


def some(texts: Sequence[str], most: int) -> str:
    """The texts, or the first `most` of them and how many more there are."""
    more = f", and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more
