"""The one driver of Pulumi's engine, for stacks of branches, operators, the lab and tests.

`engine` starts `pulumi`, `workspace` opens a project, `stack` runs operations, `steps` says what they did. Users'
machines run it: it knows nothing of labs, stand-ins and tests.
"""
