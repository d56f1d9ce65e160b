"""Columns of bytes, as which some writers of Parquet store text, as SQL for the text."""

BYTES = "BLOB"
"""The engine's type of bytes."""


def decoded_sql(cell: str) -> str:
    """Return SQL for the text that bytes are in UTF-8; null if they are none."""
    return f"try(decode({cell}))"


def text_sql(cell: str, kind: str) -> str:
    """Return SQL for a value of this type as text; for bytes that are no text, with their codes."""
    text = f"CAST({cell} AS VARCHAR)"
    return f"coalesce({decoded_sql(cell)}, {text})" if kind == BYTES else text
