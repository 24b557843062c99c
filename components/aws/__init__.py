"""Machines, network and storage that the program creates on AWS."""
