"""Scalar functions of the engine in Python: bound expressions, values, casts, numbers, texts.

Putting them together to one function of a row belongs in `row_functions`; running SQL in `engine`.
"""
