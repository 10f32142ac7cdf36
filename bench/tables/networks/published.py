"""What paper 1 printed of whole networks: Tables 1 to 4 and Fig 6. Percent; shares of 1 in Tables 2 and 3.

Tang et al. 2023, doi 10.3788/LOP213204. Table 5 is in `bench.tables.ratios.definitions`.
"""

SOURCE = "Tang et al., Lightweight Network Based on Multiregion Fusion, doi 10.3788/LOP213204"

LITERATURE: dict[str, tuple[float | None, float | None]] = {
    "pACNN": (83.05, 55.33),
    "gACNN": (85.07, 58.78),
    "E2-CapsNet": (85.24, None),
    "APM": (85.17, None),
    "DLP-CNN": (84.13, 54.47),
    "Wgan": (83.49, None),
    "IPFR": (None, 57.40),
    "SPA-SE": (None, 58.14),
    "SPWFA-SE": (None, 59.23),
}
"""Table 1, methods of others: accuracy on RAF-DB and AffectNet."""
TABLE1: dict[str, tuple[float, float]] = {"resnet50": (82.83, 54.37), "vggnet": (80.96, 51.11), "mrf": (85.39, 58.81)}
"""Table 1, networks that the paper ran, by our names."""
TABLE4: dict[str, float] = {
    "local": 42.17,
    "global": 78.26,
    "global-attention": 80.53,
    "mrf-no-bn": 84.59,
    "mrf": 85.39,
}
"""Table 4: accuracy on RAF-DB."""

CLASSES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""Order of rows and columns in Tables 2 and 3."""
TABLE2 = (
    (0.81, 0.02, 0.04, 0.03, 0.03, 0.04, 0.03),
    (0.06, 0.59, 0.02, 0.08, 0.09, 0.03, 0.11),
    (0.02, 0.04, 0.57, 0.03, 0.14, 0.15, 0.05),
    (0.00, 0.01, 0.00, 0.92, 0.02, 0.01, 0.04),
    (0.03, 0.06, 0.01, 0.03, 0.82, 0.00, 0.05),
    (0.04, 0.01, 0.01, 0.02, 0.01, 0.85, 0.06),
    (0.01, 0.01, 0.01, 0.04, 0.09, 0.02, 0.82),
)
"""RAF-DB: share of each true class (row) answered as each class (column)."""
TABLE3 = (
    (0.36, 0.24, 0.02, 0.13, 0.07, 0.03, 0.15),
    (0.06, 0.57, 0.03, 0.04, 0.03, 0.02, 0.25),
    (0.01, 0.05, 0.49, 0.05, 0.10, 0.20, 0.10),
    (0.02, 0.02, 0.00, 0.90, 0.03, 0.01, 0.03),
    (0.03, 0.06, 0.02, 0.04, 0.56, 0.02, 0.27),
    (0.02, 0.05, 0.03, 0.23, 0.03, 0.43, 0.21),
    (0.01, 0.04, 0.02, 0.13, 0.04, 0.05, 0.71),
)
"""AffectNet, likewise."""
FIG6_BEST = 0.5
"""The threshold of Fig 6 (0.4, 0.5 and 0.6 were tried) that did best in the paper."""
