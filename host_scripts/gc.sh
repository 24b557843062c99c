# shellcheck shell=bash disable=SC2154
# Lets our Java tool list or delete what clusters have left (ops/gc.py). Values: user, arguments. Files: the tool.

apply() { run_tool "${arguments[@]}"; }
