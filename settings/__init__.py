"""The configuration of a stack, read once and validated before anything changes. Components never read it.

`config` in Pulumi.yaml is the only list of keys, types and defaults. These modules check what a schema cannot express;
the checks for one provider are in its folder in `components/`. All problems are reported together, each with its key,
what was found and what is expected.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi

from components.aws.declaration import HEALING_TOKEN
from components.errors import ConfigError, refused
from components.flink.settings import ClusterSettings
from components.logs.settings import LOGS
from components.monitoring.settings import RECEIVERS, REMOTE_WRITE_LOGIN, SMTP
from components.naming import PROJECT
from components.problems import Problems, shown
from components.providers import PROVIDERS, Provider, Request, provider
from components.storage import Storage
from components.storage.table import SECRETS as STORAGE_SECRETS
from settings.cluster import SECRET_OPTIONS, cluster_settings
from settings.front_door import FRONT_DOOR_KEY, FRONT_DOOR_USERS
from settings.jobs import JOB_SECRETS
from settings.openid import SECRET as OIDC_SECRET
from settings.schema import ROOT, schema, values
from settings.storage import storage_settings

SECRETS = {
    **{key: key for key in STORAGE_SECRETS},
    HEALING_TOKEN: HEALING_TOKEN,
    JOB_SECRETS: f"--path '{JOB_SECRETS}[\"NAME\"]'",
    SECRET_OPTIONS: f"--path '{SECRET_OPTIONS}[\"OPTION\"]'",
    FRONT_DOOR_USERS: f"--path '{FRONT_DOOR_USERS}.NAME.passwordHash'",
    FRONT_DOOR_KEY: FRONT_DOOR_KEY,
    OIDC_SECRET: OIDC_SECRET,
    RECEIVERS: f"--path '{RECEIVERS}.NAME.slack'",
    LOGS: f"--path '{LOGS}.otlp.url'",
    SMTP: f"--path '{SMTP}.password'",
    REMOTE_WRITE_LOGIN: f"--path '{REMOTE_WRITE_LOGIN}.token'",
}
"""The keys that must be secrets, and no others may be, as `pulumi config set` takes them."""

PLAIN_TEXT = (
    "tls is false: the hosts' connections are in plain text, and so are records, jars and state (docs/security.md)"
)
"""What a preview says of a stack without TLS."""

__all__ = ["PLAIN_TEXT", "PROJECT", "SECRETS", "ConfigError", "Settings", "load", "provider_keys", "read", "schema"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The configuration of a stack."""

    provider: Provider
    site: Any
    """The provider's own settings, for its `declare`."""
    storage: Storage
    cluster: ClusterSettings
    warnings: tuple[str, ...] = ()
    """What is likely not what somebody meant, each with its key."""


def provider_keys() -> dict[str, str]:
    """Keys that apply to one provider only → its name."""
    return {key: name for name in PROVIDERS for key in provider(name).KEYS}


def read() -> Settings:
    """Settings of the current stack; warnings are shown. Raises ConfigError with every problem found."""
    raw = {**pulumi.runtime.config.get_config_env(), **pulumi.runtime.config.CONFIG.get()}
    found = load(
        raw,
        stack=pulumi.get_stack(),
        secrets={key for key in schema() if pulumi.runtime.config.is_config_secret(f"{PROJECT}:{key}")},
    )
    for warning in found.warnings:
        pulumi.log.warn(warning)
    # `up` begins with a preview: once is enough
    if not found.cluster.tls and pulumi.runtime.is_dry_run():
        pulumi.log.info(PLAIN_TEXT)
    return found


def load(
    raw: Mapping[str, str],
    *,
    stack: str,
    secrets: Collection[str] = (),
    root: Path = ROOT,
) -> Settings:
    """Settings from `namespace:key` → text, as Pulumi passes them: objects as JSON.

    `secrets` are the keys that were set as secrets. Reads the inventory and the private keys that it names, with paths
    relative to `root`. Raises ConfigError with every problem found.
    """
    problems = Problems()
    for key in sorted(set(secrets) - set(SECRETS)):
        allowed = ", ".join(SECRETS)
        problems.add(key, f"is a secret, but is stored where others can read it: only {allowed} may be secrets")
    found = values(raw, problems, secrets)
    # Not declared in Pulumi.yaml, because the engine requires a value for each key that is marked as a secret there
    for key, path in SECRETS.items():
        if found[key] and key not in secrets:
            problems.add(key, f"is in plain text: expected `pulumi config set --secret {path}`")
    # The engine fills in the defaults, so only a value that differs from the default shows that the key was set
    given = {key for key, value in found.items() if value != schema()[key]["default"]}
    chosen = _provider(found["provider"], given, problems)
    kept = storage_settings(found, given, chosen.region(raw), root, problems)
    request = Request(
        stack=stack,
        values=found,
        given=given,
        raw=raw,
        cluster=cluster_settings(found, stack, kept, root, problems),
        root=root,
        problems=problems,
    )
    loaded = chosen.load(request)
    if problems.found:
        raise refused(stack, problems)
    return Settings(
        provider=chosen, site=loaded.settings, storage=kept, cluster=loaded.cluster, warnings=tuple(problems.warnings)
    )


def _provider(name: str, given: Collection[str], problems: Problems) -> Provider:
    """The provider; keys that have no effect with it are problems."""
    if name not in PROVIDERS:
        problems.add("provider", f"{shown(name)} is unknown: expected {' or '.join(PROVIDERS)}")
        return provider(PROVIDERS[0])
    for key, owner in sorted(provider_keys().items()):
        if owner != name and key in given:
            problems.add(key, f"has no effect with provider {name}: remove it")
    return provider(name)
