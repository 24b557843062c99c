"""Flink's file systems for OSS, Google Cloud Storage and Azure from Maven: `opt/` of its own archive has them."""

import shutil
from pathlib import Path

from stand_ins.builds import fetch, maven_jars
from toolbox.paths import cache_dir

VERSION = "2.3.0"
_PROJECT = Path(__file__).parent / "flink-storages/pom.xml"
SHA256 = {
    "flink-azure-fs-hadoop-2.3.0.jar": "f35db4433c30215f74bc26b310c6dd2f03418543ec58abaf31c5ce41a74e267a",
    "flink-gs-fs-hadoop-2.3.0.jar": "4089f99fcfe5e5326f4060a755aae06b6b38de60aaa0cbd05f8a06e92c968907",
    "flink-oss-fs-hadoop-2.3.0.jar": "60f6166809c7607ab4ff94e4f8d8a42104088fdba9e1c155da4a92beedbd275d",
}


def jars() -> Path:
    """A folder with all of SHA256. Raises FetchError."""

    def make(to: Path) -> None:
        maven_jars.pinned(_PROJECT, to, "Flink's further file systems", SHA256)

    home = cache_dir() / f"flink-storages-{VERSION}"
    fetch.cached(home, make)
    return home


def add(home: Path) -> None:
    """Copy them into `opt/` of a Flink's tree, unless they are there."""
    for jar in jars().glob("*.jar"):
        if not (home / "opt" / jar.name).exists():
            shutil.copyfile(jar, home / "opt" / jar.name)
