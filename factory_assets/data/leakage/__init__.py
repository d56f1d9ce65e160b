"""Inputs that tell the answer, and rows that cross the split."""
