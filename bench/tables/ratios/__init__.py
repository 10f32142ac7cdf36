"""Tables of prune ratios: Table 5 of paper 1, and the same of paper 2's network."""
