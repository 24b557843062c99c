"""The root cause in a Python traceback, alone or inside of a Java stack trace."""

from __future__ import annotations

import os
import re

TRACEBACK = "Traceback (most recent call last):"
_DRIVER = "org.apache.flink.client.program.ProgramAbortException"
"""Flink's client says only that Python has failed, after what Python has said."""
_CAUSE = "Caused by: "
_PLACE = re.compile(r'\s+File "([^"]+)", line (\d+)')
_LIBRARIES = ("/site-packages/", "/dist-packages/", "<", "/lib/python")


def root(text: str) -> str:
    """The error with its place in the program, on one line; empty if there is no traceback."""
    said = text.partition(_DRIVER)[0]
    _before, found, after = said.rpartition(TRACEBACK)
    if not found:
        return ""
    lines = after.splitlines()
    # What a program prints may be between the frames of a traceback and its end, but is not indented
    messages = [line.strip() for line in lines if line.strip() and not line[:1].isspace()]
    causes = [line[len(_CAUSE) :] for line in messages if line.startswith(_CAUSE)]
    error = causes[-1] if causes else messages[0] if messages else "it has failed"
    if error.startswith("py4j.protocol.Py4JJavaError") and len(messages) > 1:
        error = messages[1].lstrip(": ")
    places = [match for match in map(_PLACE.match, lines) if match and not _is_library(match[1])]
    if not places:
        return error
    return f"{os.path.basename(places[-1][1])} line {places[-1][2]}: {error}"


def _is_library(path: str) -> bool:
    return any(part in path for part in _LIBRARIES)
