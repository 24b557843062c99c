"""Hadoop's jars from Maven: its client, and the servers of HDFS, which are in its minicluster."""

from pathlib import Path

from stand_ins.builds import fetch, maven_jars
from toolbox.paths import cache_dir

VERSION = "3.4.2"
_PROJECT = Path(__file__).parent / "hadoop/pom.xml"
SHA256 = {
    "commons-logging-1.3.0.jar": "66d3c980470b99b0c511dad3dfc0ae7b265ec1fb144e96bc0253a8a175fd34d9",
    "hadoop-client-api-3.4.2.jar": "607c0299f4df33013bd0a0f37c8cf255c635bbaddd247b8fec68c210cc17d19f",
    "hadoop-client-minicluster-3.4.2.jar": "ae2406c544825b7734b8aad4f87eff60d9ec422284f0b16c2856032083b63c77",
    "hadoop-client-runtime-3.4.2.jar": "18d071c7f72f8a946677b398a57af9c7afa2dd41a81023c310f99373fec200b3",
    "hamcrest-core-1.3.jar": "66fdef91e9739348df7a096aa384a5685f4e875584cce89386a7a47251c4d8e9",
    "jsr305-3.0.2.jar": "766ad2a0783f2687962c8ad74ceecc38a28b9f72a2d085ee438b7813e928d0c7",
    "junit-4.13.2.jar": "8e495b634469d64fb8acfa3495a065cbacc8a0fff55ce1e31007be4c16dc57d3",
    "slf4j-api-1.7.36.jar": "d3ef575e3e4979678dc01bf1dcce51021493b4d11fb7f1be8ad982877c16a1c0",
    "slf4j-simple-1.7.36.jar": "2f39bed943d624dfa8f4102d0571283a10870b6aa36f197a8a506f147010c10f",
    "snappy-java-1.1.10.4.jar": "55b30c94e5c4cc2d4b6976916098d0678a8a6cc7427fa8c875621bd94e731ac8",
}
CLIENT = (f"hadoop-client-api-{VERSION}.jar", f"hadoop-client-runtime-{VERSION}.jar", "commons-logging-1.3.0.jar")
"""What a client of HDFS needs besides a binding of slf4j, which Flink has."""


def jars() -> Path:
    """A folder with all of SHA256. Raises FetchError."""

    def make(to: Path) -> None:
        maven_jars.pinned(_PROJECT, to, f"Hadoop {VERSION}", SHA256)

    home = cache_dir() / f"hadoop-{VERSION}"
    fetch.cached(home, make)
    return home
