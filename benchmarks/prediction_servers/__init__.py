"""What the serving benchmark runs: prediction servers, the load on them, and their home."""
