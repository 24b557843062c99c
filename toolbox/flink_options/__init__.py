"""The table of Flink's options, generated from a release: `python -m toolbox.flink_options [ARCHIVE]` writes
settings/flink_options.txt. Without an argument the release is the one that the lab has in its cache.
"""

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from toolbox.paths import REPO, cache_dir

VERSION = "2.3.0"
"""The release that stacks have by default."""

TABLE = REPO / "settings" / "flink_options.txt"
JAVA = Path(__file__).with_name("FlinkOptions.java")
HEADER = "# Options of Apache Flink, by `python -m toolbox.flink_options` from {release}. Do not edit.\n"


def archive(version: str) -> Path:
    """Where the lab's cache has a release, if it has it."""
    return cache_dir() / "archives" / f"flink-{version}-bin-scala_2.12.tgz"


def table(release: Path) -> str:
    """The table of a release's archive, made by its own classes (FlinkOptions.java); needs a JDK."""
    java = shutil.which("java")
    if not java:
        raise RuntimeError("there is no java: expected a JDK, 17 or newer")
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(release) as tar:
            # A stream: the archive is large, and its end is of no use here
            for member in tar:
                parts = Path(member.name).parts
                if len(parts) > 2 and parts[1] in ("lib", "opt", "plugins") and member.name.endswith(".jar"):
                    tar.extract(member, folder, filter="data")
        jars = sorted(Path(folder).rglob("*.jar"))
        lib = next(Path(folder).glob("*/lib"))
        own = [jar for jar in jars if jar.name.startswith("flink-") and jar.parent.name != "python"]
        argv = [java, "-cp", f"{lib}/*", str(JAVA), *map(str, own)]
        made = subprocess.run(argv, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    name = release.name.removesuffix(".tgz").partition("-bin")[0]
    return HEADER.format(release=name) + made.stdout
