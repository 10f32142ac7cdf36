"""Which network a command works on: a checkpoint, or whatever the user's own code builds.

    --net timm:resnet18                 a network of timm, with random weights
    --net package.module:factory        what the function `factory` of that module gives when it is called

The user names code to import, no file does.
"""

import importlib
from collections.abc import Callable, Sequence
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
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{spec} cannot be imported ({error}): name a module and a function in it") from error


def factory_of(spec: str) -> Callable[[], nn.Module]:
    """What builds the network of `--net`: a function without arguments.

    Raises:
        ValueError: as `named`, or timm has no such network.
    """
    kind, _, name = spec.partition(":")
    if kind != "timm":
        return named(spec)
    create = named("timm:create_model")
    return lambda: _made(create, name)


def network_of(spec: str) -> nn.Module:
    """The network that `spec` builds. Raises ValueError as `factory_of`, or where it builds none."""
    net = factory_of(spec)()
    if not isinstance(net, nn.Module):
        raise ValueError(f"{spec} gives a {type(net).__name__}: it must give a torch.nn.Module when called")
    return net


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


def _made(create: Callable[..., nn.Module], name: str) -> nn.Module:
    try:
        return create(name, pretrained=False)
    except RuntimeError as error:
        raise ValueError(f"timm has no network {name} ({error}): see timm.list_models()") from error
