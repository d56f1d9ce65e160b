"""The corpus of growing tables: a column comes, goes, changes its type, its case, its place."""
