#!/usr/bin/env -S python3 -I -S -X utf8
"""`flink-host --help`. This file is `/usr/local/lib/flink/flink-host` on hosts, beside the package `host_tool`."""

import sys

sys.path.insert(0, "/usr/local/lib/flink")

from host_tool.commands import main

sys.exit(main(sys.argv[1:]))
