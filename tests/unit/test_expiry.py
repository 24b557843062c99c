"""Which daemons run with expired certificates: what host_scripts/tls/identity.sh notes, and service.sh reads."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from toolbox.paths import REPO

NOW = int(time.time())


def expired(folder: Path, began: int | None, noted: str) -> bool:
    """What service.sh says of a daemon that began at that time, with the file that identity.sh has made."""
    for name in ("run", "tls/internal"):
        (folder / name).mkdir(parents=True)
    (folder / "tls/valid").write_text(noted)
    if began is not None:
        (folder / "run/fingerprint").write_text("x")
        os.utime(folder / "run/fingerprint", (began, began))
    values = f"unit=../{folder}/run inputs=(/etc/flink/a {folder}/tls/internal/keystore.p12)"
    script = f"set -euo pipefail; source host_scripts/service.sh; {values}; if has_expired; then echo yes; fi"
    done = subprocess.run(["bash", "-c", script], cwd=REPO, capture_output=True, text=True, check=True)
    assert not done.stderr
    return done.stdout == "yes\n"


@pytest.mark.parametrize(
    ("noted", "found"),
    [
        ([(-100, 100)], False),
        ([(-100, -1)], True),
        # It began before they were renewed: it has the ones before
        ([(-100, -1), (-5, 100)], True),
        ([(-100, 5), (-5, -1)], False),
        ([(-200, -120), (-100, 100), (-5, 100)], False),
        # Of an earlier version, and without any
        ([(-NOW, -1)], True),
        ([(-5, -1)], False),
        ([], False),
    ],
)
def test_a_daemon_has_the_certificates_that_were_there_when_it_began(
    tmp_path: Path, noted: list[tuple[int, int]], found: bool
) -> None:
    now = int(time.time())
    text = "".join(f"{now + begins} {now + ends}{{}}\n" for begins, ends in noted)
    for authority in ("", " 0", " 2"):  # earlier versions did not note which one
        folder = tmp_path / authority.strip() / "host"
        assert expired(folder, now - 50, text.format(*[authority] * len(noted))) is found


def test_without_certificates_nothing_has_expired(tmp_path: Path) -> None:
    assert not expired(tmp_path / "idle", None, f"0 {NOW - 9}\n")
    folder = tmp_path / "plain"
    (folder / "run").mkdir(parents=True)
    (folder / "run/fingerprint").write_text("x")
    script = f"set -eu; source host_scripts/service.sh; unit=../{folder}/run inputs=(/etc/a); ! has_expired"
    subprocess.run(["bash", "-c", script], cwd=REPO, check=True)


def test_each_installation_is_noted_and_the_last_ten_stay(tmp_path: Path) -> None:
    ends = "2026-11-29T17:32:01+00:00"
    calls = "".join(f"note_end {number};" for number in range(12))
    script = (
        f"set -euo pipefail; source host_scripts/tls/identity.sh; folder={tmp_path} ends={ends} authority=2; {calls}"
    )
    subprocess.run(["bash", "-c", script], cwd=REPO, check=True)
    lines = (tmp_path / "valid").read_text().splitlines()
    assert lines == [f"{number} 1795973521 2" for number in range(2, 12)]
