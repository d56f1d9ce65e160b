"""Training networks with Lightning: batches, callbacks, checkpoints, devices."""
