"""JSON files read into typed values: what does not fit is a sentence that names the place in the file."""

from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")


def read_json(path: Path, kind: type[T], *, what: str, mend: str) -> T:
    """The file's content as `kind`: a dataclass, or a list or dict of them, with every field's type checked.

    Args:
        what: the file's duty, "manifest of occlusions".
        mend: how to come by a right file; ends the sentence.
    Raises:
        ValueError: the file is absent, no JSON, or does not fit `kind`.
    """
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=kind)
    except OSError as error:
        raise ValueError(f"{path} is no {what} ({error.strerror or error}). {mend}") from None
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no {what} ({error}). {mend}") from None
