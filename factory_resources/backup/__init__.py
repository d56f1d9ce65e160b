"""Back up a home while the factory runs, and restore it elsewhere.

A backup is always in the form of files, wherever the databases are. What commands print belongs in
`factory_assets.cli`.
"""
