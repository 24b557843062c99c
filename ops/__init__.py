"""What operators ask of a stack beside Pulumi: `doctor` compares hosts with what is declared, `gc` finds what clusters
have left on the storage and in ZooKeeper. A stack's state says which hosts there are, how to reach them, and what was
done there.
"""
