"""Sources outside the factory: files, object storage, databases, Delta tables.

Each comes with a digest of what it holds.

Nothing here knows a contract or a pipeline.
"""
