"""Settings of logs. Whether there is a monitoring host, the provider knows."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

import pulumi
from pydantic import AfterValidator, Field

from components import forms
from components.flink import sizing
from components.flink.releases import Archive
from components.logs.settings import LOGS, LOKI, OTLP, Destination, LogsSettings
from components.problems import Problems
from components.shapes import Shape, fields

_KINDS = (OTLP, LOKI)
_LEAST_MIB = 512
_LEAST_SECONDS = 86_400
"""The store keeps a day at least (https://docs.victoriametrics.com/victorialogs/#retention)."""
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")
_VALUE = re.compile(r"[ -~]{0,4096}")


def _url(text: Any) -> str:
    # What was found may be a secret
    if not isinstance(text, str) or not forms.DOWNLOAD_URL.fits(text) or "?" in text:
        raise ValueError(f"is not a URL: expected {forms.DOWNLOAD_URL.expected}, and no query")
    return text


def _headers(found: Any) -> dict[str, str]:
    if not isinstance(found, dict):
        raise ValueError("are no mapping: expected `NAME: value` pairs")
    for name, value in found.items():
        if not isinstance(name, str) or not _HEADER.fullmatch(name):
            raise ValueError("have a name that is none of a header: expected letters, digits and -, up to 64")
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise ValueError(f"have a {name} that is no value of a header: expected a text of printable ASCII")
    return found


class _Destination(Shape):
    url: Annotated[Any, AfterValidator(_url)] = Field(description="a URL, to which /v1/logs is added")
    headers: Annotated[Any, AfterValidator(_headers)] = Field(default={}, description="a mapping")


def logs(values: Mapping[str, Any], agent: Archive, store: Archive, problems: Problems) -> LogsSettings:
    """The settings. What is wrong is added to `problems`."""
    retention, size = values["logsRetention"], values["logsRetentionSize"]
    seconds = 0
    if problems.catch("logsRetention", lambda: forms.DURATION(retention), ""):
        seconds = forms.seconds(retention)
        if seconds < _LEAST_SECONDS:
            problems.add("logsRetention", f"{retention} is too short: expected 1 d or more")
    mib = problems.catch("logsRetentionSize", lambda: sizing.mib(size), _LEAST_MIB) if size else 0
    if size and mib < _LEAST_MIB:
        problems.add("logsRetentionSize", f"{size} is too small: expected {_LEAST_MIB}m or more")
    destinations = _destinations(values[LOGS], problems)
    return LogsSettings(
        retention_seconds=seconds,
        retention_mib=mib,
        builtin=values["logsStore"],
        destinations=pulumi.Output.secret(destinations) if destinations else None,
        agent=agent,
        store=store,
    )


def _destinations(given: Mapping[str, Any], problems: Problems) -> list[Destination]:
    found = []
    for kind, entry in sorted(given.items()):
        if kind not in _KINDS:
            # Not what was found: it may be a secret at the wrong place
            problems.add(LOGS, f"has an unknown destination: expected some of {', '.join(_KINDS)}")
            continue
        where = f"{LOGS}.{kind}"
        if not isinstance(entry, Mapping):
            problems.add(where, "is not a mapping: expected url, and headers if the server wants some")
            continue
        before = len(problems.found)
        known = fields(_Destination, entry, where, problems)
        if len(problems.found) == before:
            found.append(Destination(kind=kind, url=known["url"], headers=known.get("headers", {})))
    return found
