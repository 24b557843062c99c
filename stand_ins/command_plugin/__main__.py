"""Starts the plugin: `python -m stand_ins.command_plugin [engine address]`."""

from stand_ins.command_plugin.provider import Provider
from stand_ins.plugin.serve import main

main(Provider)
