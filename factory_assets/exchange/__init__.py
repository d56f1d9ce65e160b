"""Formats of others: what is written for their tools.

What a version is made of belongs in `audit`.
"""
