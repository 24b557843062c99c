"""Metrics that the monitoring host sends to a store elsewhere: a second Prometheus that takes them, by TLS with a
certificate of a private CA, and only with the password.
"""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.monitoring import targets
from ops.password import hashed
from tests.engine.test_acme import free_port
from tests.engine.test_monitoring import identity, programs, prometheus, started, until
from tests.unit.test_tls_signer import Pki

__all__ = ["programs"]


def receiver_config(folder: Path, pki: Pki, password: str) -> None:
    certificate, key, _ = identity(folder / "tls", pki, "localhost")
    web = {
        "tls_server_config": {"cert_file": str(certificate), "key_file": str(key)},
        "basic_auth_users": {"flink": hashed(password, 4)},
    }
    (folder / "web.yml").write_text(yaml.safe_dump(web))
    (folder / "prometheus.yml").write_text("{}\n")


@pytest.mark.parametrize("trusted", [True, False])
def test_a_store_elsewhere_gets_all_metrics_if_it_is_trusted(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    pki, port, store = Pki(), free_port(), tmp_path / "store"
    store.mkdir()
    receiver_config(store, pki, "long-password")
    # Where the unit says what is trusted besides
    authorities = tmp_path / "authorities"
    authorities.mkdir()
    (authorities / "trusted.pem").write_text(pki.pem if trusted else Pki().pem)
    monkeypatch.setenv("SSL_CERT_DIR", str(authorities))
    (tmp_path / Path(targets.REMOTE_SECRET).name).write_text("long-password")
    context = ssl.create_default_context(cadata=pki.pem)

    def stored(query: str, password: str = "long-password") -> list[dict[str, Any]]:
        request = urllib.request.Request(f"https://localhost:{port}/api/v1/query?query={query}")
        request.add_header("Authorization", "Basic " + base64.b64encode(f"flink:{password}".encode()).decode())
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return found

    home = next(programs.glob("prometheus-*"))
    words = [
        str(home / "prometheus"),
        f"--config.file={store}/prometheus.yml",
        f"--storage.tsdb.path={store}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--web.config.file={store}/web.yml",
        "--web.enable-remote-write-receiver",
    ]
    remote = targets.Remote(url=f"https://localhost:{port}/api/v1/write", user="flink")
    with (
        started(words, store / "log"),
        prometheus(programs, tmp_path, tls=False, remote=remote) as sender,
    ):
        until(lambda: sender.values("up{job='prometheus'}") == {"mon-0": "1"})
        if trusted:
            until(lambda: stored("up{job='prometheus'}"))
            (found,) = stored("up{job='prometheus'}")
            # Also what says whose it is
            assert (found["metric"]["cluster"], found["metric"]["host"]) == ("dev", "mon-0")
        else:
            until(lambda: "certificate signed by unknown authority" in (tmp_path / "log").read_text())
            assert stored("up{job='prometheus'}") == []
            # It would try for a minute to deliver the rest
            assert sender.process
            sender.process.kill()
    config = (tmp_path / "prometheus.yml").read_text()
    assert "long-password" not in config
    checked = subprocess.run([home / "promtool", "check", "config", tmp_path / "prometheus.yml"], check=False)
    assert checked.returncode == 0
