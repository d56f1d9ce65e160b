"""Sources outside the factory: files, object storage, databases, Delta tables.

Each source comes with a digest of its content. Nothing here knows a contract or a pipeline.
"""
