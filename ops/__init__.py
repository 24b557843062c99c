"""Tools for operators of a stack, besides Pulumi: `doctor` reports configuration drift, `reboot` reboots hosts in the
order of a rollout, `gc` removes what dead clusters have left on the storage and in ZooKeeper, `pending` and `orphans`
clean up after a run that was killed. The stack's state contains the hosts, their connections, and the steps that ran
there.
"""
