"""Starts the plugin: `python -m lab.command_plugin [engine address]`."""

from lab.command_plugin.serve import main

main()
