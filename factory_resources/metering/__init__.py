"""What a computation costs: seconds, memory, energy."""
