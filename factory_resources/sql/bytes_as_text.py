"""Columns of bytes, as which some writers of Parquet store text, as SQL for the text."""

BYTES = "BLOB"
"""The engine's type of bytes."""


def decoded_sql(cell: str) -> str:
    """Return SQL for the text that bytes are in UTF-8; null if they are none."""
    return f"try(decode({cell}))"


def text_of_bytes_sql(cell: str) -> str:
    """Return SQL for the text that bytes are in UTF-8, or for one with their codes."""
    return f"coalesce({decoded_sql(cell)}, CAST({cell} AS VARCHAR))"
