"""From a network to figures."""
