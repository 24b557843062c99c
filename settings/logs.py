"""Settings of logs. Whether there is a monitoring host, the provider knows."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import pulumi
from pydantic import AfterValidator, Field

from components import certificates, forms
from components.flink import sizing
from components.flink.releases import Archive
from components.logs.settings import (
    ELASTICSEARCH,
    LOGS,
    LOKI,
    OPENSEARCH,
    OTLP,
    SPLUNK,
    Destination,
    LogsSettings,
)
from components.problems import Problems
from components.shapes import Shape, fields, names

_LEAST_MIB = 512
_LEAST_SECONDS = 86_400
"""The store keeps a day at least (https://docs.victoriametrics.com/victorialogs/#retention)."""
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")
_VALUE = re.compile(r"[ -~]{0,4096}")
_KEY = re.compile(r"[!-~]{1,4096}")
_USER = re.compile(r"[ -9;-~]{1,256}")
_INDEX = re.compile(r"[a-z0-9][a-z0-9._-]{0,254}")
"""What Elasticsearch, OpenSearch and Splunk all take as a name."""
_SOURCE_TYPE = re.compile(r"[A-Za-z0-9_:.-]{1,128}")


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


def _text(form: re.Pattern[str], expected: str) -> Callable[[Any], str]:
    """A check of a text, which does not say what was found: it may be a secret."""

    def checked(found: Any) -> str:
        if not isinstance(found, str) or not form.fullmatch(found):
            raise ValueError(f"does not fit: expected {expected}")
        return found

    return checked


def _authorities(found: Any) -> str:
    if not isinstance(found, str):
        raise ValueError("is not a text: expected certificates of authorities in PEM")
    return certificates.trusted(found, certificates.now())


_Url = Annotated[Any, AfterValidator(_url)]
_Key = Annotated[Any, AfterValidator(_text(_KEY, "printable ASCII without blanks"))]
_User = Annotated[Any, AfterValidator(_text(_USER, "printable ASCII without a colon"))]
_Password = Annotated[Any, AfterValidator(_text(_VALUE, "printable ASCII"))]
_Index = Annotated[Any, AfterValidator(_text(_INDEX, "small letters, digits, and . _ - after the first character"))]
_Authorities = Annotated[Any, AfterValidator(_authorities)]


class _Otlp(Shape):
    url: _Url = Field(description="a URL, to which /v1/logs is added")
    headers: Annotated[Any, AfterValidator(_headers)] = Field(default={}, description="a mapping")
    authorities: _Authorities = Field(default="", description="certificates in PEM")


class _OpenSearch(Shape):
    url: _Url = Field(description="a URL, to which /_bulk is added")
    user: _User = Field(default="", description="a name")
    password: _Password = Field(default="", description="a password")
    index: _Index = Field(default="", description="a data stream, an alias or an index")
    authorities: _Authorities = Field(default="", description="certificates in PEM")


class _Elasticsearch(_OpenSearch):
    api_key: _Key = Field(default="", description="a key, encoded")


class _Splunk(Shape):
    url: _Url = Field(description="a URL, to which /services/collector is added")
    token: _Key = Field(description="a token of the HTTP Event Collector")
    index: _Index = Field(default="", description="an index")
    source_type: Annotated[Any, AfterValidator(_text(_SOURCE_TYPE, "letters, digits, and _ : . -"))] = Field(
        default="", description="a source type"
    )
    authorities: _Authorities = Field(default="", description="certificates in PEM")


_KINDS: Mapping[str, type[Shape]] = {
    ELASTICSEARCH: _Elasticsearch,
    LOKI: _Otlp,
    OPENSEARCH: _OpenSearch,
    OTLP: _Otlp,
    SPLUNK: _Splunk,
}


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
        kinds=tuple(to.kind for to in destinations),
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
            problems.add(where, f"is not a mapping: expected some of {', '.join(names(_KINDS[kind]))}")
            continue
        before = len(problems.found)
        known = fields(_KINDS[kind], entry, where, problems)
        _login(known, where, problems)
        if len(problems.found) == before:
            found.append(
                Destination(
                    kind=kind,
                    url=known["url"].rstrip("/"),
                    headers=known.get("headers", {}),
                    user=known.get("user", ""),
                    password=known.get("password", ""),
                    key=known.get("token", known.get("apiKey", "")),
                    index=known.get("index", ""),
                    source_type=known.get("sourceType", ""),
                    authorities=known.get("authorities", ""),
                )
            )
    return found


def _login(known: Mapping[str, Any], where: str, problems: Problems) -> None:
    """A user has a password, and a key is instead of both."""
    for name, other in (("user", "password"), ("password", "user")):
        if name in known and other not in known:
            problems.add(f"{where} {other}", f"is missing: expected both {name} and {other}, or neither")
    if "apiKey" in known and "user" in known:
        problems.add(f"{where} apiKey", "is a second login besides user: expected one of the two")
    if "authorities" in known and not str(known.get("url", "")).startswith("https:"):
        problems.add(f"{where} authorities", "has no effect without TLS: expected a url that begins with https://")
