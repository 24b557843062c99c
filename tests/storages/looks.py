"""A host's look at an HDFS before Flink starts: its program (Access.java), without a host."""

import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from components.sources import host_script
from components.storage import Hdfs
from stand_ins.builds import hadoop


@dataclass(frozen=True)
class Look:
    """What a host would have: Flink, Hadoop's client."""

    folder: Path
    """For its files."""
    flink: Path

    def said(
        self, uri: str, site: str, kind: Hdfs, options: Mapping[str, object] | None = None, java: tuple[str, ...] = ()
    ) -> str:
        """What it says to this core-site.xml and these options of Flink; empty if it can do all below the URI."""
        conf, plugins = self.folder / "conf", self.folder / "plugins"
        for folder in (conf, plugins):
            folder.mkdir(exist_ok=True)
        (conf / "core-site.xml").write_text(site)
        (conf / "config.yaml").write_text(json.dumps({**kind.options, **(options or {})}))
        program = self.folder / "Access.java"
        program.write_text(host_script("storage/Access.java").replace('"/etc/flink"', json.dumps(str(conf))))
        jars = [f"{self.flink}/lib/*", *(str(hadoop.jars() / jar) for jar in hadoop.CLIENT), str(conf)]
        argv = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", *java]
        argv += ["--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED", "-cp", ":".join(jars)]
        argv += [str(program), uri, "tm-0", "120"]
        variables = {"HADOOP_CONF_DIR": str(conf), "FLINK_PLUGINS_DIR": str(plugins), "HADOOP_USER_NAME": "flink"}
        done = subprocess.run(argv, env={**os.environ, **variables}, capture_output=True, text=True, timeout=240)
        assert done.returncode == (1 if done.stdout else 0), done.stderr
        # As access.sh does
        hint = next((hint for pattern, hint in kind.hints.items() if re.search(pattern, done.stdout)), "")
        return f"{done.stdout.strip()}; {hint}" if done.stdout else ""
