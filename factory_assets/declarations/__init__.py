"""Load a `defs.yaml` as a spec, or report its mistakes with their lines.

What may be declared belongs in `spec`.
"""
