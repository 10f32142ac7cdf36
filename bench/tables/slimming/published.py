"""Small networks for FER2013 at the figures that were published for them: other recipes, other machines."""

SMALL_NETWORKS = (
    ("Cotter 2019, small", 500_000, 68.4),
    ("Cotter 2019, large", 2_500_000, 70.9),
    ("MicroExpNet 2026", 1_200_000, 71.2),
)
"""(name, parameters, accuracy in % on PrivateTest), as their abstracts say; the first two counts are rounded there."""
