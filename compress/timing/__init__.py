"""What a batch takes: turns, latency, memory, energy."""
