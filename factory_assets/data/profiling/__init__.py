"""Profiles of tables, and how a table drifted since its previous version."""
