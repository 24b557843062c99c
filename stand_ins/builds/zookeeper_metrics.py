"""The jars of ZooKeeper's provider of metrics for Prometheus, from Maven."""

from pathlib import Path

from stand_ins.builds import maven_jars

_PROJECT = Path(__file__).parent / "zookeeper-metrics/pom.xml"
SHA256 = {
    "javax.servlet-api-3.1.0.jar": "af456b2dd41c4e82cf54f3e743bc678973d9fe35bd4d3071fa05c7e5333b8482",
    "jetty-http-9.4.57.v20241219.jar": "02c6514977f0051dfdecf8d0799acf7a88fd8008a5fd9320a92f2e5db45d297b",
    "jetty-io-9.4.57.v20241219.jar": "f6246a2cf0abcee7f0971217c0ce4cd30d8ce15a91530363457113907ab38690",
    "jetty-security-9.4.57.v20241219.jar": "af923d4f395a73bf8ddcb754f42d7617c6b7055e37e5a6b625ed894f73107ae9",
    "jetty-server-9.4.57.v20241219.jar": "ba957ae07da647023cfa52c923732aea1c67f5273a594cee1863365dfebb9a02",
    "jetty-servlet-9.4.57.v20241219.jar": "c5e9517974dec9e4606b2d810f4995ea81091b1e24bd9640cb45d8b2aefd722c",
    "jetty-util-9.4.57.v20241219.jar": "6ccbf678716778e316cc097d8aada4fe2a2e16c0bbfd8a1763204d6724b423f4",
    "jetty-util-ajax-9.4.57.v20241219.jar": "67af50dd7714803b1bcdfabac181dd8b279d0ba6ba7fd27ea80c5b2099016542",
    "simpleclient-0.9.0.jar": "72d6dc49c023a4b3345d8a8a82d947ea24d07b1ad60cf57fee85a6f77b149a19",
    "simpleclient_common-0.9.0.jar": "97d404dca184d2a07817ccae2ef1df9fb34b84526c44cf2367ef0ba8031759c0",
    "simpleclient_hotspot-0.9.0.jar": "927fc7069f9a8ebd1a8420c3bb1675a957bd359b95e50664aa96e387d4b0a256",
    "simpleclient_servlet-0.9.0.jar": "12cf7668b6f4941dbc8dac6dc270db0e579b216be0aee74a6ad98d7d6e8aa228",
    "zookeeper-prometheus-metrics-3.9.4.jar": "51853ff241cbb6a8a6249138ed941644fb01035f82b322915f554bdf06f22afa",
}


def jars(to: Path) -> list[Path]:
    """The jars, in the folder `to`. Raises FetchError."""
    maven_jars.pinned(_PROJECT, to, "jars of ZooKeeper's metrics", SHA256)
    return sorted(to.glob("*.jar"))
