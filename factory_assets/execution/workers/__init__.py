"""Who works on a request: this process, or several, of this machine or of a cluster's nodes.

A worker decides whether a stage must be computed and computes it. It writes files that no table and
no record names yet. Naming them, in Delta logs, records and the ledger, belongs in `runner` alone.
"""
