"""Dagster's UI behind the front door: who may do what there, and the entry of what is done.

Who a visitor is belongs in `web.door`; what a run does belongs in `components`.
"""
