"""TLS between ZooKeeper's servers and their clients, as properties of both.

Both read PEM files, so there is no password. Flink's client is ZooKeeper 3.7, whose class for TLS has another name in
Flink's jar. Servers verify that a certificate is of an authority of theirs; clients, and servers that connect to
others, also the name in it (RFC 2818), which FIPS mode leaves to the JDK.
"""

from collections.abc import Mapping

from ..circles import Circle
from ..host import Role
from . import encryption

_PROTOCOL = {"protocol": "TLSv1.3", "ciphersuites": "TLS_AES_256_GCM_SHA384,TLS_AES_128_GCM_SHA256"}
_CLIENT_SOCKET = "org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.ClientCnxnSocketNetty"


def _stores(role: Role) -> dict[str, str]:
    folder = f"{encryption.folder(role)}/{Circle.ZOOKEEPER.value}"
    return {"keyStore.location": f"{folder}/identity.pem", "trustStore.location": f"{folder}/authorities.pem"}


def server(port: int, *, plain_text: bool = False) -> Mapping[str, str | int]:
    """Settings of zoo.cfg, instead of `clientPort`. With `plain_text` clients may also connect without TLS."""
    side = {**_stores(Role.ZOOKEEPER), **_PROTOCOL, "enabledProtocols": _PROTOCOL["protocol"], "clientAuth": "need"}
    return {
        **({"clientPort": port, "client.portUnification": "true"} if plain_text else {"secureClientPort": port}),
        "serverCnxnFactory": "org.apache.zookeeper.server.NettyServerCnxnFactory",
        # Without secureClientPort it must be named
        "authProvider.x509": "org.apache.zookeeper.server.auth.X509AuthenticationProvider",
        "sslQuorum": "true",
        "fips-mode": "true",
        # No session without a certificate
        **({} if plain_text else {"enforce.auth.enabled": "true", "enforce.auth.schemes": "x509"}),
        **{f"{prefix}.{key}": value for prefix in ("ssl", "ssl.quorum") for key, value in side.items()},
    }


def client_options(role: Role) -> str:
    """Options of the JVM for Flink's client on the hosts of a role."""
    properties = {
        "client.secure": "true",
        "clientCnxnSocket": _CLIENT_SOCKET,
        **{f"ssl.{key}": value for key, value in {**_stores(role), **_PROTOCOL}.items()},
    }
    return " ".join(f"-Dzookeeper.{key}={value}" for key, value in properties.items())
