"""Jobs that are declared, like the cluster that they run on."""
