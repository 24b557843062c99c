"""Pinned packages from the Python registry, by pip with its configuration."""

import sys
from collections.abc import Sequence
from pathlib import Path

from stand_ins.builds import fetch
from toolbox.parallel import command

_PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--no-cache-dir", "-q")


def _requirements(names: Sequence[str], folder: Path) -> list[str]:
    """Options for pip: a requirements file with the pins of these packages in `stand_ins/builds/pins.toml`.

    A package that is pinned in several versions is given as `NAME==VERSION`.
    """
    pinned: dict[str, list[str]] = fetch.pins()["python"]
    chosen = {spec: hashes for spec, hashes in pinned.items() if {spec, spec.partition("==")[0]} & set(names)}
    if len(chosen) != len(names):
        raise ValueError(f"stand_ins/builds/pins.toml does not pin all of {', '.join(names)}")
    lines = [" ".join([spec, *(f"--hash=sha256:{value}" for value in hashes)]) for spec, hashes in chosen.items()]
    path = folder / "requirements.txt"
    path.write_text("\n".join(lines) + "\n")
    return ["--require-hashes", "-r", str(path)]


def download(names: Sequence[str], to: Path) -> list[Path]:
    """Download the wheels of packages, for any platform, because no code in them is run."""
    to.mkdir(parents=True)
    anywhere = ["--platform", "manylinux2014_x86_64", "--python-version", "3.11", "--only-binary", ":all:"]
    command([*_PIP, "download", "--no-deps", *anywhere, "-d", str(to), *_requirements(names, to)], timeout=900)
    return sorted(to.glob("*.whl"))


def install(names: Sequence[str], to: Path) -> None:
    """Install packages for this machine into the directory `to`, apart from any environment."""
    to.mkdir(parents=True)
    options = ["--no-deps", "--no-compile", "--only-binary", ":all:", "--target", str(to)]
    command([*_PIP, "install", *options, *_requirements(names, to)], timeout=900)
