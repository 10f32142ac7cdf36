"""What covers before a face cost: occlusion x pruning, Figs 3 and 4 of paper 2."""
