"""Joins, cleaning queries, and the lineage of columns through both."""
