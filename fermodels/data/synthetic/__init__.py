"""The embedded data set: illustrated faces that make expressions through facial action units, with exact landmarks.

Nothing is downloaded and nothing is photographed: face i of a seed is drawn by numpy, the same on every call.
`python -m fermodels.data.synthetic --sheet docs/synthetic.png` draws the contact sheet.
"""

from fermodels.data.synthetic.drawing import VERSION, Faces, render
from fermodels.data.synthetic.loader import load

__all__ = ["VERSION", "Faces", "load", "render"]
