"""Starts the plugin: `python -m lab.command_plugin [engine address]`."""

from lab.command_plugin.provider import Provider
from lab.plugin.serve import main

main(Provider)
