"""Starts the plugin: `python -m tests.aws.plugin.run_tls [engine address]`."""

from lab.plugin.serve import main
from tests.aws.plugin.tls_provider import TlsProvider

if __name__ == "__main__":
    main(TlsProvider)
