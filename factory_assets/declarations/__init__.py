"""From a `defs.yaml` to a spec, or to mistakes with their line.

What may be declared belongs in `spec`.
"""
