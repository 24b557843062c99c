"""Starts the plugin: `python -m tests.aws.plugin.run_aws [engine address]`."""

from lab.plugin.serve import main
from tests.aws.plugin.aws_provider import AwsProvider

if __name__ == "__main__":
    main(AwsProvider)
