"""Leaks: inputs that reveal the target, and rows or groups that several parts share."""
