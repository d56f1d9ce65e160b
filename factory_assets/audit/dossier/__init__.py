"""The dossier of a model version: what is recorded of it, each value with its place, as documents.

Nothing is computed or judged anew here. What law asks belongs in `audit.requirements`.
"""
