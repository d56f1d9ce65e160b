"""The factory's own tables: snapshots in Parquet, versioned by a Delta log."""
