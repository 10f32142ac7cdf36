"""How a network leaves PyTorch."""
