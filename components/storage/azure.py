"""Azure: Data Lake Storage Gen2 (abfs), and Blob Storage (wasb)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pulumi

from .. import forms
from ..problems import shown
from .base import LOCAL_FILES, Asked, Backend, Kind

PLUGIN = "flink-azure-fs-hadoop"
"""Flink's file systems for Azure. Each release has them in `opt/`."""

_KEY, _CLIENT, _TENANT = "azureStorageKey", "azureClientId", "azureTenantId"


@dataclass(frozen=True, kw_only=True)
class Azure(Backend):
    """Containers of storage accounts. Without a key hosts have a managed identity, which wasb does not know."""

    SCHEMES: ClassVar[Sequence[str]] = ("abfs", "abfss", "wasb", "wasbs")

    accounts: Sequence[str]
    """The servers of the accounts, such as `ACCOUNT.dfs.core.windows.net`."""
    key: pulumi.Input[str] | None = None
    """Pass it as a secret Output."""
    client_id: str = ""
    """Of the identity, if the hosts have more than one."""
    tenant_id: str = ""

    @property
    def plugins(self) -> Sequence[str]:
        """The only one."""
        return (PLUGIN,)

    @property
    def options(self) -> Mapping[str, Any]:
        """Its options in Flink's config.yaml. Hadoop's configuration replaces `${env.…}`, wherever it is from."""
        # Files are here until they are complete. The default is below /tmp, which may be in memory
        common = {"fs.azure.buffer.dir": "/var/lib/flink/tmp/azure"}
        if self.key is not None:
            keys = {f"fs.azure.account.key.{each}": "${env.AZURE_STORAGE_KEY}" for each in self.accounts}
            return {**common, **keys}
        return {
            **common,
            "fs.azure.account.auth.type": "OAuth",
            "fs.azure.account.oauth.provider.type": "org.apache.hadoop.fs.azurebfs.oauth2.MsiTokenProvider",
            # Both must be there, and may be empty
            "fs.azure.account.oauth2.msi.tenant": self.tenant_id,
            "fs.azure.account.oauth2.client.id": self.client_id,
        }

    @property
    def hadoop(self) -> Mapping[str, str]:
        """Its local file system by name."""
        return LOCAL_FILES

    @property
    def secrets(self) -> Mapping[str, pulumi.Input[str]]:
        """The account's key, by the name that Azure's own tools read."""
        return {} if self.key is None else {"AZURE_STORAGE_KEY": self.key}

    def server(self, uri: str) -> str:
        """The account's server."""
        return f"https://{_account(uri)}"

    @property
    def hints(self) -> Mapping[str, str]:
        """What is expected, by what Azure says."""
        return {
            "AuthenticationFailed|failed to authenticate": "expected a key of this account (azureStorageKey), and that "
            "this host's clock is right",
            "AuthorizationPermissionMismatch|AuthorizationFailure|not authorized": "expected an identity with the role "
            "Storage Blob Data Contributor, and a firewall of the account that lets this host in",
            "[Ff]ilesystem does not exist|FilesystemNotFound|ContainerNotFound": "expected a container of this name",
            "[Hh]ierarchical|EndpointUnsupportedAccountFeatures": "expected an account with a hierarchical namespace, "
            "without soft delete of blobs",
            "AADToken|HttpException|169.254.169.254|[Ii]dentity": "expected a managed identity of this machine "
            "(azureClientId, if it has several), or azureStorageKey",
            "UnknownHost|ConnectException|SocketTimeout|no answer": "expected that this host reaches "
            f"{', '.join(self.accounts)}",
        }


def _account(uri: str) -> str:
    return uri.partition("://")[2].partition("/")[0].rpartition("@")[2]


def _read(asked: Asked) -> Azure:
    values, problems = asked.values, asked.problems
    key = values[_KEY]
    asked.check_secret(_KEY, forms.AZURE_KEY)
    for name in (_CLIENT, _TENANT):
        if values[name]:
            problems.catch(name, lambda name=name: forms.UUID(values[name]), "")  # type: ignore[misc]
            if key:
                problems.add(name, f"has no effect with {_KEY}: remove one of the two")
    for place, uri in asked.places.items():
        if uri.startswith("wasb") and not key:
            problems.add(
                place, f"{shown(uri)} needs {_KEY}: expected it, or abfss://, which knows the identity of machines"
            )
    accounts = tuple(dict.fromkeys(_account(uri) for uri in asked.places.values()))
    if key and len(accounts) > 1:
        problems.add(
            _KEY, f"is of one account, and places are in {', '.join(accounts)}: expected one account, or an identity"
        )
    return Azure(
        accounts=accounts,
        key=pulumi.Output.secret(key) if key else None,
        client_id=values[_CLIENT],
        tenant_id=values[_TENANT],
    )


KIND = Kind(
    title="Azure",
    schemes=Azure.SCHEMES,
    uri=forms.AZURE_URI,
    keys=(_KEY, _CLIENT, _TENANT),
    secrets=(_KEY,),
    owned=(r"(fs\.)?azure\.(account\.(key|auth\.type|oauth).*|buffer\.dir)",),
    read=_read,
)
