"""One way to drive Pulumi's engine: for branches, operators, the lab and tests.

Users' machines run it: it knows nothing of labs, stand-ins and tests.
"""
