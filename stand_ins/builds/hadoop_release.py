"""A release of Hadoop as hosts install it, made of the client's jars from Maven, in the places where Apache's archive
has them: that archive has a gigabyte, and is on no registry.
"""

import shutil
import tempfile
from pathlib import Path

from stand_ins.builds import fetch, hadoop
from stand_ins.builds.archives import Archive, folder, pack


def ensure() -> Archive:
    """The archive, in the folder that the lab's mirror serves."""
    path = folder() / f"hadoop-{hadoop.VERSION}.tar.gz"

    def make(to: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder().parent) as work:
            home = Path(work) / f"hadoop-{hadoop.VERSION}"
            for name in hadoop.CLIENT:
                place = "client" if name.startswith("hadoop-client") else "common/lib"
                target = home / "share/hadoop" / place / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(hadoop.jars() / name, target)
            pack(home, to)

    fetch.cached(path, make)
    return Archive(hadoop.VERSION, path, fetch.digest(path, "sha512"), "Maven's registry")
