"""Certificates that a stack's hosts trust."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components import certificates, files
from components.flink.trusted import PROPERTIES
from components.problems import Problems, shown

KEY = "trustedCertificates"


def trusted_certificates(
    values: Mapping[str, Any], options: Mapping[str, Mapping[str, Any]], root: Path, problems: Problems
) -> str:
    """The certificates in PEM; empty without any. `options` are those of Flink, by key of the stack. What is wrong is
    added to `problems`.
    """
    if not values[KEY]:
        return ""
    given = [("javaOptions", values["javaOptions"])]
    given += [(key, value) for key, found in options.items() for name, value in found.items() if "java.opts" in name]
    for key, value in given:
        if any(f"-D{name}=" in str(value) for name in PROPERTIES):
            problems.add(key, f"names a trust store, and so does {KEY}: expected one of the two")

    def read() -> str:
        path = files.located(values[KEY], root)
        try:
            return certificates.trusted(files.text(path), certificates.now())
        except ValueError as error:
            text = str(error)
            raise ValueError(text if text.startswith(str(path)) else f"{shown(values[KEY])} {text}") from None

    pem = problems.catch(KEY, read, "")
    if pem and certificates.end(pem) - certificates.now() < certificates.NOTICE:
        problems.warn(KEY, f"a certificate expires on {certificates.end(pem):%Y-%m-%d}: expected another one soon")
    return pem
