"""Where the texts of an SVG of ours lie, measured with the font that its reader has, too."""

import math
import re
from functools import cache
from html import unescape
from pathlib import Path
from typing import NamedTuple

import matplotlib
from PIL import ImageFont

FONT = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
BOLD = FONT.with_name("DejaVuSans-Bold.ttf")
TALL = 100
"""Size at which letters are measured."""
TEXT = re.compile(r"<text ([^>]*)>(.*?)</text>", re.DOTALL)
ASCENT, DESCENT = 0.76, 0.24
"""Of digits and letters, in sizes."""


class Box(NamedTuple):
    """Corners in the units of the canvas, y downwards."""

    text: str
    left: float
    top: float
    right: float
    bottom: float


@cache
def _font(bold: bool) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(BOLD if bold else FONT), TALL)


def canvas(svg: str) -> tuple[float, float]:
    """Width and height."""
    width, height = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups()  # type: ignore[union-attr]
    return float(width), float(height)


def texts(svg: str) -> list[Box]:
    """Every text with its box."""
    return [_box(attributes, unescape(text)) for attributes, text in TEXT.findall(svg)]


def _box(attributes: str, text: str) -> Box:
    size = float(re.search(r"font-size: ([\d.]+)px|font: (?:\w+ )?([\d.]+)px", attributes)[0].split()[-1][:-2])  # type: ignore[index]
    wide = _font("bold" in attributes or "700" in attributes).getlength(text) * size / TALL
    anchor = re.search(r"text-anchor: (\w+)", attributes)
    start = {"middle": -wide / 2, "end": -wide}.get(anchor[1] if anchor else "", 0.0)
    x, y, turn = _place(attributes)
    corners = [(left, down * size) for left in (start, start + wide) for down in (-ASCENT, DESCENT)]
    turned = [
        (x + a * math.cos(turn) - b * math.sin(turn), y + a * math.sin(turn) + b * math.cos(turn)) for a, b in corners
    ]
    across, down = zip(*turned, strict=True)
    return Box(text, min(across), min(down), max(across), max(down))


def _place(attributes: str) -> tuple[float, float, float]:
    """Where the text is anchored, and its turn in radians."""
    if moved := re.search(r"translate\(([-\d.]+) ([-\d.]+)\)(?: rotate\(([-\d.]+)\))?", attributes):
        return float(moved[1]), float(moved[2]), math.radians(float(moved[3] or 0))
    x, y = (float(re.search(rf'\b{name}="([-\d.]+)"', attributes)[1]) for name in "xy")  # type: ignore[index]
    turned = re.search(r"rotate\(([-\d.]+)", attributes)
    return x, y, math.radians(float(turned[1]) if turned else 0.0)


def outside(svg: str) -> list[str]:
    """Texts that leave the canvas by more than a point."""
    width, height = canvas(svg)
    return [
        box.text
        for box in texts(svg)
        if box.left < -1 or box.top < -1 or box.right > width + 1 or box.bottom > height + 1
    ]


def overlapping(svg: str) -> list[tuple[str, str]]:
    """Pairs of texts that lie on each other by more than a quarter of the smaller one."""
    boxes, found = texts(svg), []
    for i, one in enumerate(boxes):
        for other in boxes[i + 1 :]:
            across = min(one.right, other.right) - max(one.left, other.left)
            down = min(one.bottom, other.bottom) - max(one.top, other.top)
            smaller = min((box.right - box.left) * (box.bottom - box.top) for box in (one, other))
            if across > 0 and down > 0 and across * down > 0.25 * smaller:
                found.append((one.text, other.text))
    return found
