"""Machines that somebody else keeps: what the factory needs of a Kubernetes cluster.

Here is what is asked for, as plain objects. Whether and when a pipeline runs belongs in
`factory_assets`; the processes of this machine, in `workers`.
"""
