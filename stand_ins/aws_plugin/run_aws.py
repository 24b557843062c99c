"""Starts the plugin: `python -m stand_ins.aws_plugin.run_aws [engine address]`."""

from stand_ins.aws_plugin.aws_provider import AwsProvider
from stand_ins.plugin.serve import main

if __name__ == "__main__":
    main(AwsProvider)
