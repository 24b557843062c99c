"""The tool on every host of a cluster, `/usr/local/lib/flink/flink-host`, for work that does not suit bash: JSON, REST,
sockets, and decisions about the whole cluster. `flink-host --help` lists its commands.

It runs with any `python3` from 3.9 on, and needs only the standard library. It starts as fast as the shell scripts that
call it: modules that take long to import (`json`, `subprocess`, `http.client`, `dataclasses`, `pathlib`) are imported
where they are needed, or not at all.
"""
