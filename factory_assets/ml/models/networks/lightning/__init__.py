"""How Lightning trains a network: batches, callbacks, checkpoints, devices."""
