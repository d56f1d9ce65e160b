"""The factory's append-only transparency log: what was done, in an order nobody can change unseen.

Its file `factory_verify.py` needs nothing else of the factory: an auditor carries it away.
"""
