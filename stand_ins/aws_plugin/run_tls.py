"""Starts the plugin: `python -m stand_ins.aws_plugin.run_tls [engine address]`."""

from stand_ins.aws_plugin.tls_provider import TlsProvider
from stand_ins.plugin.serve import main

if __name__ == "__main__":
    main(TlsProvider)
