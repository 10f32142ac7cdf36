"""Which network a command works on: a checkpoint, or whatever the user's own code builds.

    --net timm:resnet18                 a network of timm, with random weights
    --net package.module:factory        what the function `factory` of that module gives when it is called

The user names code to import, no file does.
"""

import importlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

CHECKPOINTS = "fermodels.predict.artefacts:deployment"
"""What opens the folder of a checkpoint for `compress.export`, where that package is installed."""


def named(spec: str) -> Callable[..., Any]:
    """The function that "package.module:function" names.

    Raises:
        ValueError: the spec has another form, or there is no such module or function.
    """
    module, colon, name = spec.partition(":")
    if not (module and colon and name):
        raise ValueError(f'"{spec}" names no function: give package.module:function, or timm:NAME')
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{spec} cannot be imported ({error}): name a module and a function in it") from error
    if not callable(found):
        raise ValueError(f"{spec} is a {type(found).__name__}, no function: name one that gives the network")
    return found


def network(spec: str, **settings: Any) -> nn.Module:
    """The network that `spec` names, with random weights: "timm:resnet18", or "package.module:factory".

    Args:
        settings: handed to timm.create_model or to the factory, like num_classes=7.

    Raises:
        ValueError: there is no such network; the sentence says what is missing.

    >>> net = network("torch.nn:Linear", in_features=3, out_features=2)
    """
    kind, _, name = spec.partition(":")
    net = _of_timm(name, settings) if kind == "timm" else named(spec)(**settings)
    if not isinstance(net, nn.Module):
        raise ValueError(f"{spec} gives a {type(net).__name__}: it must give a torch.nn.Module when called")
    return net


@cache
def define_native_operators() -> None:
    """`torchvision::nms` and `::qnms`, which a torchvision built for CUDA lacks beside a PyTorch for CPUs.

    timm and torchvision import with their schemas alone; no network here calls them.
    """
    try:
        torch.ops.torchvision.nms  # noqa: B018 - asking is enough
    except (AttributeError, RuntimeError):
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEPT.append(library)


_KEPT: list[torch.library.Library] = []
"""A library's operators go with it."""


def example_of(shapes: Sequence[str]) -> tuple[Tensor, ...]:
    """Random inputs of a batch of two, one for each of `shapes`, like "3,224,224".

    Raises:
        ValueError: a shape that is none.
    """
    generator = torch.Generator().manual_seed(0)
    sides = []
    for shape in shapes:
        words = shape.split(",")
        if not all(word.strip().isdecimal() and int(word) for word in words):
            raise ValueError(f"--input {shape}: give the shape of one input without the batch, like 3,224,224")
        sides.append([int(word) for word in words])
    return tuple(torch.randn(2, *side, generator=generator) for side in sides)


def _of_timm(name: str, settings: dict[str, Any]) -> nn.Module:
    define_native_operators()
    create = named("timm:create_model")
    try:
        return create(name, pretrained=False, **settings)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"timm builds no {name} so ({error}): see timm.list_models()") from error
