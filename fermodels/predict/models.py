"""The model that a word names: one that ships, a checkpoint, an ONNX file, an engine, a folder of `compress.export`."""

import os
from importlib.util import find_spec
from pathlib import Path

from fermodels.predict.classifier import Classifier
from fermodels.predict.session_classifier import DEFAULT_RUNTIME, ENGINE, SessionClassifier
from fermodels.predict.shipped import SHIPPED

CONFIG = "config.json"
"""What makes a folder a checkpoint."""
HELP = f"give one of {', '.join(SHIPPED)}, the folder of a checkpoint (fermodels.save), an .onnx file or an engine"


def open_model(
    spec: Path | str, *, runtime: str | None = None, precision: str | None = None, device: str | None = None
) -> Classifier:
    """The model at `spec`, ready. A name of `SHIPPED` comes before a folder of that name (write ./NAME for that).

    Args:
        runtime: one of `compress.runtimes.RUNTIMES`; None: ONNX Runtime where there is an ONNX file, else PyTorch.
        precision: of the ONNX file to take from a folder, or where the runtime's differs from the file's (bf16).
        device: of PyTorch, for a checkpoint: "cuda".

    Raises:
        ValueError: nothing of that kind, damaged, without class names, or options that do not fit it; says which.
        Unavailable: a library or device is missing.
    """
    path = SHIPPED.get(str(spec)) or Path(os.path.expanduser(spec))
    try:
        if not path.exists():
            raise ValueError(f"there is no model {path}: {HELP}")
        if path.is_dir():
            onnx = None if device or runtime == "torch" else _onnx_in(path, runtime, precision)
            if onnx is None:
                return _checkpoint(path, runtime, precision, device)
            path = onnx
        elif path.suffix not in (".onnx", ENGINE):
            raise ValueError(f"{path} is no model: {HELP}")
        if device:
            raise ValueError(f"--device {device} is for checkpoints: {path.name} runs where its runtime does")
        return SessionClassifier(path, runtime, precision)
    except OSError as error:
        raise ValueError(f"the model {path} cannot be read: {error.strerror or error}") from error


def _checkpoint(folder: Path, runtime: str | None, precision: str | None, device: str | None) -> Classifier:
    if runtime not in (None, "torch") or precision not in (None, "fp32"):
        raise ValueError(
            f"{folder} holds no ONNX file for --runtime {runtime or DEFAULT_RUNTIME} "
            f"--precision {precision or 'fp32'}: "
            "make one with python -m compress.export"
        )
    from fermodels.predict.checkpoint_classifier import CheckpointClassifier  # PyTorch takes seconds

    inner = folder / "checkpoint"  # where compress.export puts it
    return CheckpointClassifier(folder if (folder / CONFIG).is_file() else inner, device or "cpu")


def _onnx_in(folder: Path, runtime: str | None, precision: str | None) -> Path | None:
    """The ONNX file in `folder` that is meant; None: the checkpoint is."""
    files = {path.stem: path for path in sorted(folder.glob("*.onnx"))}
    if not files or (runtime is None and find_spec("onnxruntime") is None):
        return None
    if (meant := precision if precision in files else "fp32") in files:
        return files[meant]
    if len(files) == 1:
        return next(iter(files.values()))
    raise ValueError(f"{folder} holds {', '.join(f'{name}.onnx' for name in files)}: name one of them as the model")
