"""Whether a stage runs, its run, and its record.

What a stage computes belongs in `stages`; how Dagster calls it, in `components`.
"""
