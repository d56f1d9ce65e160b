"""Formats of others: what is written for their tools, and what of theirs is read.

What a version is made of belongs in `audit`.
"""
