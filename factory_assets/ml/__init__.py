"""Features, models, training and evaluation.

Reading sources and enforcing contracts belong in `data`; rows arrive here as snapshots.
"""
