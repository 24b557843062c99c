"""The example jobs of Flink's distribution, which nobody here wrote."""

from pathlib import Path

from stand_ins.builds import fetch, maven_jars
from toolbox import console
from toolbox.paths import cache_dir

VERSION = "2.3.0"
SHA256 = "6bab7c5329ae2996eca7ce652efd390e12c8075db4fdb104e0c437bcb5ce7d75"
JAR = f"flink-examples-streaming-{VERSION}.jar"
_PROJECT = Path(__file__).parent / "flink-examples/pom.xml"


def streaming() -> Path:
    """The jar with the streaming examples. Raises FetchError."""

    def make(jar: Path) -> None:
        with console.step("job", "downloading Flink's examples from Maven's registry"):
            what = f"-Dartifact=org.apache.flink:flink-examples-streaming:{VERSION}:jar"
            maven_jars.run(_PROJECT, "dependency:copy", what, f"-DoutputDirectory={jar.parent}")
        found = fetch.digest(jar, "sha256")
        if found != SHA256:
            raise fetch.FetchError(f"{JAR}: its SHA-256 is {found}, expected {SHA256}")

    path = cache_dir() / "jars" / JAR
    fetch.cached(path, make)
    return path
