"""Text from outside (names of files, classes, columns) on its way into what somebody opens: escaped at the edge.

One thing to know: inside the program a name stays as it is; only who writes it somewhere calls one of these.
"""

import unicodedata

HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Unicode categories that a terminal obeys or that turn the line around: controls, formats, lone surrogates."""
JOINERS = frozenset("\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}")
"""Formats that some scripts need within words."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that a spreadsheet computes."""


def printed(text: str) -> str:
    """For a terminal, a log, a sentence: what cannot be seen is written as \\x1b, \\u202e; the rest stays."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_seen(character) for character in text)


def _seen(character: str) -> str:
    if character in JOINERS or unicodedata.category(character) not in HIDDEN:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def csv_cell(value: object) -> object:
    """For a cell of a csv file: text that a spreadsheet would compute begins with an apostrophe; numbers stay."""
    if not isinstance(value, str):
        return value
    text = printed(value)
    return f"'{text}" if value.startswith(FORMULA) and not _number(value) else text


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
