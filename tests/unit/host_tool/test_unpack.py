"""Archives are unpacked and hashed in one pass, and what is no whole gzip is refused (host_tool/unpack.py)."""

import gzip
import hashlib
import io
import subprocess
import sys
from pathlib import Path

import pytest

from host_tool import unpack
from toolbox.paths import REPO

CONTENT = bytes(range(256)) * 9000
PACKED = gzip.compress(CONTENT[:100], mtime=0) + gzip.compress(CONTENT[100:], mtime=0)
"""Two members, as parallel packers make them."""


def test_it_gives_the_content_a_copy_and_the_checksum_of_what_was_packed(tmp_path: Path) -> None:
    (tmp_path / "packed").write_bytes(PACKED)
    content, copy = io.BytesIO(), io.BytesIO()
    with (tmp_path / "packed").open("rb", buffering=0) as source:
        checksum = unpack.unpack(source, content, "sha512", copy)
    assert checksum == hashlib.sha512(PACKED).hexdigest()
    assert (content.getvalue(), copy.getvalue()) == (CONTENT, PACKED)


WRONG = {
    "cut by a byte": PACKED[:-1],
    "cut": PACKED[:50],
    "another checksum of its own": PACKED[:-8] + bytes(8),
    "a page": b"<html>",
    "more": PACKED + b"more",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_whole_gzip_is_refused(wrong: str, tmp_path: Path) -> None:
    program, digest = str(REPO / "host_tool/unpack.py"), str(tmp_path / "digest")
    argv = [sys.executable, "-I", "-S", program, "sha256", digest, "/dev/null"]
    done = subprocess.run(argv, input=WRONG[wrong], capture_output=True, check=False)
    assert (done.returncode, (tmp_path / "digest").exists()) == (1, False)
    assert done.stderr.startswith(b"cannot unpack it: ")
