"""The one driver of Pulumi's engine, for stacks of branches, operators, the lab and tests.

`engine` starts `pulumi`, `workspace` opens a project, `stack` runs operations, `steps` records them. It runs on
users' machines and does not depend on labs, stand-ins or tests.
"""
