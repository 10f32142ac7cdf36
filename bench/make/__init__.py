"""From a cell to a trained, slimmed network."""
