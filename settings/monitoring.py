"""Settings of the monitoring host. Whether there is one, the provider knows."""

from collections.abc import Mapping
from typing import Annotated, Any

import pulumi
from pydantic import AfterValidator, Field

from components import forms
from components.flink import sizing
from components.flink.releases import Archive
from components.monitoring.settings import (
    GRAFANA,
    GROUPING,
    RECEIVERS,
    REMOTE_WRITE,
    REMOTE_WRITE_LOGIN,
    SEVERITIES,
    SMTP,
    Grouping,
    MonitoringSettings,
    Receiver,
    RemoteLogin,
    Smtp,
)
from components.problems import Problems, shown
from components.shapes import Shape, fields

_KINDS = ("webhook", "slack", "pagerDuty", "email")
_LEAST_MIB = 512
"""Prometheus keeps its newest two hours in files that the limit does not count."""


def _url(text: Any) -> str:
    # What was found may be a secret
    if not isinstance(text, str) or not forms.DOWNLOAD_URL.fits(text):
        raise ValueError(f"is not a URL: expected {forms.DOWNLOAD_URL.expected}")
    return text


def _key(text: Any) -> str:
    if not isinstance(text, str) or not forms.SECRET.fits(text) or not text:
        raise ValueError("is not a key: expected printable characters without a blank, quote or backslash")
    return text


def _severities(found: list[str]) -> list[str]:
    for each in found:
        if each not in SEVERITIES:
            raise ValueError(f"{shown(each)} is unknown: expected some of {', '.join(SEVERITIES)}")
    if not found:
        raise ValueError(f"is empty: expected some of {', '.join(SEVERITIES)}")
    return found


# Not strict where a value of another type must not be shown
_Url = Annotated[Any, AfterValidator(_url)]
_Key = Annotated[Any, AfterValidator(_key)]


class _Receiver(Shape):
    webhook: _Url = Field(default="", description="a URL")
    slack: _Url = Field(default="", description="the URL of an incoming webhook")
    pager_duty: _Key = Field(default="", description="an integration key")
    email: Annotated[str, AfterValidator(forms.EMAIL)] = Field(default="", description=forms.EMAIL.expected)
    severities: Annotated[list[str], AfterValidator(_severities)] = Field(
        default=["critical", "warning"], description=f"a list of some of {', '.join(SEVERITIES)}"
    )


def _label(name: str) -> str:
    return forms.METRIC_LABEL(name)


class _Grouping(Shape):
    by: list[Annotated[str, AfterValidator(_label)]] = Field(
        default=["cluster", "alertname"], min_length=1, description="a list of labels"
    )
    wait: Annotated[str, AfterValidator(forms.DURATION)] = Field(default="30 s", description=forms.DURATION.expected)
    interval: Annotated[str, AfterValidator(forms.DURATION)] = Field(
        default="300 s", description=forms.DURATION.expected
    )
    repeat: Annotated[str, AfterValidator(forms.DURATION)] = Field(default="4 h", description=forms.DURATION.expected)


class _RemoteLogin(Shape):
    user: Annotated[str, AfterValidator(forms.BASIC_USER)] = Field(default="", description=forms.BASIC_USER.expected)
    password: _Key = Field(default="", description="a password")
    token: _Key = Field(default="", description="a token")


class _Smtp(Shape):
    server: Annotated[str, AfterValidator(forms.SMTP_SERVER)] = Field(description=forms.SMTP_SERVER.expected)
    sender: Annotated[str, AfterValidator(forms.EMAIL)] = Field(alias="from", description=forms.EMAIL.expected)
    user: str = Field(default="", description="a user")
    password: _Key = Field(default="", description="a password")


def monitoring(
    values: Mapping[str, Any],
    prometheus: Archive,
    alertmanager: Archive,
    node_exporter: Archive,
    grafana: Archive,
    problems: Problems,
) -> MonitoringSettings:
    """The settings. What is wrong is added to `problems`."""
    retention, size = values["metricsRetention"], values["metricsRetentionSize"]
    problems.catch("metricsRetention", lambda: forms.DURATION(retention), "")
    mib = problems.catch("metricsRetentionSize", lambda: sizing.mib(size), _LEAST_MIB) if size else 0
    if size and mib < _LEAST_MIB:
        problems.add("metricsRetentionSize", f"{size} is too small: expected {_LEAST_MIB}m or more")
    receivers = _receivers(values[RECEIVERS], problems)
    smtp = _smtp(values[SMTP], problems)
    mails = [each.name for each in receivers if each.email]
    if mails and not values[SMTP]:
        problems.add(SMTP, f"is missing, and {', '.join(mails)} of {RECEIVERS} is e-mail: expected server and from")
    elif values[SMTP] and not mails:
        problems.add(SMTP, f"has no effect without e-mail in {RECEIVERS}: remove it")
    if values[GRAFANA] and not values["frontDoor"]:
        problems.add(GRAFANA, "needs a front door, by which people log in: expected frontDoor: true, or false")
    return MonitoringSettings(
        retention_seconds=forms.seconds(retention) if forms.DURATION.fits(retention) else 0,
        retention_mib=mib,
        receivers=pulumi.Output.secret(receivers) if receivers else None,
        smtp=pulumi.Output.secret(smtp) if smtp else None,
        grouping=_grouping(values[GROUPING], problems),
        remote_write=problems.catch(REMOTE_WRITE, lambda: forms.DOWNLOAD_URL(values[REMOTE_WRITE]), "")
        if values[REMOTE_WRITE]
        else "",
        remote_login=_remote_login(values, problems),
        prometheus=prometheus,
        alertmanager=alertmanager,
        node_exporter=node_exporter,
        grafana=grafana if values[GRAFANA] else None,
    )


def _grouping(given: Mapping[str, Any], problems: Problems) -> Grouping:
    before = len(problems.found)
    known = fields(_Grouping, given, GROUPING, problems)
    if len(problems.found) > before:
        return Grouping()
    usual = Grouping()

    def seconds(name: str, default: int) -> int:
        return forms.seconds(known[name]) if name in known else default

    return Grouping(
        by=tuple(known.get("by", usual.by)),
        wait=seconds("wait", usual.wait),
        interval=seconds("interval", usual.interval),
        repeat=seconds("repeat", usual.repeat),
    )


def _remote_login(values: Mapping[str, Any], problems: Problems) -> pulumi.Output[RemoteLogin] | None:
    given = values[REMOTE_WRITE_LOGIN]
    if not given:
        return None
    if not values[REMOTE_WRITE]:
        problems.add(REMOTE_WRITE, f"is missing, and there is {REMOTE_WRITE_LOGIN}: expected a URL")
    before = len(problems.found)
    known = fields(_RemoteLogin, given, REMOTE_WRITE_LOGIN, problems)
    if len(problems.found) == before and set(known) not in ({"user", "password"}, {"token"}):
        problems.add(REMOTE_WRITE_LOGIN, f"has {', '.join(sorted(known))}: expected user and password, or token")
    if str(values[REMOTE_WRITE]).startswith("http://"):
        problems.add(REMOTE_WRITE, "is in plain text, and so would be the login: expected https://")
    return pulumi.Output.secret(RemoteLogin(**known)) if len(problems.found) == before else None


def _receivers(given: Mapping[str, Any], problems: Problems) -> list[Receiver]:
    found = []
    for name, entry in sorted(given.items()):
        where = f"{RECEIVERS}.{name}"
        if not forms.RECEIVER.fits(name):
            problems.add(RECEIVERS, f"{shown(name)} is not {forms.RECEIVER.what}: expected {forms.RECEIVER.expected}")
            continue
        if not isinstance(entry, Mapping):
            problems.add(where, f"is not a mapping: expected one of {', '.join(_KINDS)}")
            continue
        before = len(problems.found)
        known = fields(_Receiver, entry, where, problems)
        kinds = [kind for kind in _KINDS if kind in entry]
        if len(kinds) != 1 and len(problems.found) == before:
            problems.add(where, f"has {', '.join(kinds) or 'nowhere to send to'}: expected one of {', '.join(_KINDS)}")
        if len(problems.found) == before:
            found.append(
                Receiver(
                    name=name,
                    severities=tuple(known.get("severities", ("critical", "warning"))),
                    webhook=known.get("webhook", ""),
                    slack=known.get("slack", ""),
                    pager_duty=known.get("pagerDuty", ""),
                    email=known.get("email", ""),
                )
            )
    return found


def _smtp(given: Mapping[str, Any], problems: Problems) -> Smtp | None:
    if not given:
        return None
    before = len(problems.found)
    known = fields(_Smtp, given, SMTP, problems)
    if len(problems.found) > before:
        return None
    return Smtp(
        server=known["server"],
        sender=known["from"],
        user=known.get("user", ""),
        password=known.get("password", ""),
    )
