"""Drift of the rows that a model answers: exact p-values, bets against them, effects.

Statistics only: no storage of looks, no schedule, no opinion on what an alarm leads to.
"""
