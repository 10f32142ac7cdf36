"""The one training loop, its schedule and its progress."""
