"""Files of rows: find, unpack and decode them, and convert them to Parquet.

What the rows mean belongs in `factory_assets.data`.
"""
