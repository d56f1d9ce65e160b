"""Clusters of Ray or Kubernetes that somebody else keeps, and what the factory needs of them.

What is computed there belongs in `factory_assets.execution.workers`; the processes of this machine,
in `workers`.
"""
