"""What the factory costs beside the bare script; `python -m benchmarks` prints it as one table."""
