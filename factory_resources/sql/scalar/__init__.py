"""The engine's scalar functions in Python: bound expressions, values, casts, numbers, texts.

Combining them to one function of a row belongs in `row_functions`; running SQL, in `engine`.
"""
