"""Methods of slimming side by side, and the controls that could refute them."""
