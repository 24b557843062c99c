"""The lab's KDC: MIT Kerberos from Debian, an ordinary process over a directory, as the S3 server is."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.lab import free_port, port_problem
from stand_ins.builds import kerberos
from toolbox import files
from toolbox.parallel import command

REALM = "LAB.TEST"
PORT = 8800
"""First port that is tried. KDCs have 88."""


@dataclass(frozen=True)
class Kdc:
    """A KDC over `directory` that listens at `address`."""

    directory: Path
    address: str
    port: int
    seconds: int = 120
    """How long a ticket is valid: a test sees several end."""

    @property
    def conf(self) -> Path:
        """The krb5.conf of clients and servers."""
        return self.directory / "krb5.conf"

    @property
    def environment(self) -> dict[str, str]:
        """Of the KDC, and of programs that ask it."""
        names = {"KRB5_CONFIG": self.conf, "KRB5_KDC_PROFILE": self.directory / "kdc.conf"}
        return {**kerberos.environment(), **{name: str(path) for name, path in names.items()}}

    def prepare(self) -> None:
        """Write its configuration and make its database, once."""
        self.directory.mkdir(mode=0o700, exist_ok=True)
        modules = kerberos.libraries() / "krb5/plugins/kdb"
        files.write(
            self.conf,
            f"[libdefaults]\n  default_realm = {REALM}\n  dns_lookup_kdc = false\n  dns_lookup_realm = false\n"
            # By TCP alone, as large tickets need it
            "  udp_preference_limit = 1\n"
            f"[realms]\n  {REALM} = {{\n    kdc = {self.address}:{self.port}\n  }}\n"
            f"[dbmodules]\n  db_module_dir = {modules}\n",
        )
        files.write(
            self.directory / "kdc.conf",
            f"[kdcdefaults]\n  kdc_listen = {self.address}:{self.port}\n  kdc_tcp_listen = {self.address}:{self.port}\n"
            f"[realms]\n  {REALM} = {{\n    database_name = {self.directory / 'principal'}\n"
            f"    key_stash_file = {self.directory / 'stash'}\n    max_life = {self.seconds}s\n"
            # A client proves that it has the key, as everywhere today
            "    default_principal_flags = +preauth\n  }\n",
        )
        if not (self.directory / "principal").exists():
            self._run("usr/sbin/kdb5_util", "create", "-s", "-P", secrets.token_urlsafe(16))

    def keytab(self, principal: str, name: str) -> Path:
        """The keytab `name` of a principal such as `flink`, which is added if it is not there, with a new key."""
        path = self.directory / f"{name}.keytab"
        if not path.exists():
            known = self._run("usr/sbin/kadmin.local", "listprincs").split()
            if f"{principal}@{REALM}" not in known:
                self._run("usr/sbin/kadmin.local", "addprinc", "-randkey", principal)
            self._run("usr/sbin/kadmin.local", "ktadd", "-k", str(path), principal)
        return path

    def forget(self, principal: str) -> None:
        """Delete a principal."""
        self._run("usr/sbin/kadmin.local", "delprinc", "-force", principal)

    def ticket(self, principal: str, keytab: Path) -> Path:
        """A credential cache with a new ticket."""
        cache = self.directory / f"{keytab.stem}.cache"
        self._run("usr/bin/kinit", "-c", f"FILE:{cache}", "-k", "-t", str(keytab), principal)
        return cache

    def server(self) -> list[str]:
        """Its command line. `prepare` comes first."""
        return [str(kerberos.tree() / "usr/sbin/krb5kdc"), "-n"]

    def skewed(self, offset: str) -> Mapping[str, str]:
        """Its environment if its clock is wrong by an offset such as `+1h`."""
        library = kerberos.libraries() / "faketime/libfaketime.so.1"
        return {**self.environment, "LD_PRELOAD": str(library), "FAKETIME": offset}

    def problem(self) -> str | None:
        """Its problem; None if it accepts connections."""
        return port_problem(self.address, self.port)

    def _run(self, program: str, *words: str) -> str:
        return command([kerberos.tree() / program, *words], env=self.environment, timeout=60)


def at(directory: Path, address: str) -> Kdc:
    """A new KDC over `directory` with a free port of this address."""
    return Kdc(directory, address, free_port(address, PORT, set()))
