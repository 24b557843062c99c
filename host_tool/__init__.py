"""The tool on every host of a cluster, `/usr/local/lib/flink/flink-host`: what needs JSON, REST, sockets or a picture
of the whole cluster, which is not for bash. `flink-host --help` lists what it does.

It runs with whatever `python3` a host has, from 3.9 on, and its standard library alone. It starts as fast as the shell
scripts that call it: modules that take long to import (`json`, `subprocess`, `http.client`, `dataclasses`, `pathlib`)
are imported where they are needed, or not at all.
"""
