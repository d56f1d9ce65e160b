"""Files of rows: found, unpacked, decoded, and brought into Parquet.

What the rows mean belongs in `factory_assets.data`.
"""
