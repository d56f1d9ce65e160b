"""Models and their measurement.

Knows no source and no contract; rows arrive as snapshots from `data`.
"""
