"""Two views of a face for contrastive pretraining (paper 2, section 3.2): crop, occlusion, flip, colour, grey, blur.

All are tensor operations on the whole batch. What happens to a face is a pure function of (seed, epoch, index of the
face, number of the view): neither the batch it is in nor its order matters, so a resumed pretraining sees what an
uninterrupted one would.

>>> first, second = (augmented(images, index, config, seed=0, epoch=3, view=view) for view in range(2))
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn import functional

from fermodels.training.erasing import AREA, Chance, between, erased, per_face, worth_computing
from fermodels.training.views import resample

GREY = (0.299, 0.587, 0.114)
"""Luminance of red, green and blue (ITU-R BT.601)."""
BLUR = (0.25, 0.5, 0.25)
"""Binomial kernel, applied along both axes."""
DRAWS = 17
"""Uniform numbers drawn for a view; each has one use."""


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """How strongly a view is changed. Probabilities and ranges are per view."""

    size: int = 56
    """Side of a view in pixels."""
    crop_area: tuple[float, float] = (0.4, 1.0)
    """Share of the face's area that is cropped and resized."""
    crop_aspect: tuple[float, float] = (3 / 4, 4 / 3)
    """Width by height of the crop, uniform in its logarithm; occlusions have aspects from 0.5 to 2."""
    flip: float = 0.5
    jitter: float = 0.8
    """Probability of a change of brightness, contrast and saturation."""
    strength: float = 0.4
    """Each of the three is multiplied by a number in 1 - strength .. 1 + strength."""
    grey: float = 0.2
    blur: float = 0.3
    occlude: float = 0.8
    """Probability of one rectangle; 0 is SimCLR without occlusion, the baseline of Table 2."""
    occluded_area: tuple[float, float] = AREA
    """Share of the view that it hides."""
    mean: float = 0.5
    """Subtracted from pixels in [0, 1] at the end, as in `ViewConfig`."""
    std: float = 0.25

    def __post_init__(self) -> None:
        for name in ("flip", "jitter", "grey", "blur", "occlude", "strength"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)}: a number from 0 to 1")
        for name in ("crop_area", "occluded_area"):
            low, high = getattr(self, name)
            if not 0 < low <= high <= 1:
                raise ValueError(f"{name}={getattr(self, name)}: two shares of the area, 0 < low <= high <= 1")


def simclr(config: AugmentConfig) -> AugmentConfig:
    """The same without occlusion."""
    return replace(config, occlude=0.0)


def augmented(
    images: UInt8[Tensor, "n h h c"],
    index: Int[Tensor, " b"],
    config: AugmentConfig,
    *,
    seed: int,
    epoch: int,
    view: int,
) -> Float[Tensor, "b 3 s s"]:
    """One view of the faces `index`, normalised, in channels_last memory. Grey faces (c = 1) stay grey.

    Args:
        images: all stored faces.
        view: 0 or 1: number of the view, so that the two views of a face differ.
    """
    draws = uniforms(index, DRAWS, key=(seed * 1_000_003 + epoch) * 2 + view)
    chance = iter(draws.unbind(1))
    faces = images[index].permute(0, 3, 1, 2).float().div_(255)
    views = resample(faces, _crop_boxes(chance, config), config.size)
    views = torch.where(per_face(next(chance) < config.flip), views.flip(3), views)
    views = _jittered(views, chance, config)
    views = _greyed(views, next(chance) < config.grey)
    views = _blurred(views, next(chance) < config.blur)
    views = erased(views, chance, probability=config.occlude, area=config.occluded_area)
    views = views.sub_(config.mean).div_(config.std).expand(-1, 3, -1, -1)
    return views.contiguous(memory_format=torch.channels_last)


def uniforms(index: Int[Tensor, " b"], count: int, *, key: int) -> Float[Tensor, "b count"]:
    """`count` numbers in [0, 1) for each of `index`, a function of (index, key) alone (splitmix64's finaliser)."""
    steps = torch.arange(count, device=index.device)
    state = index[:, None].long() * _signed(0x9E3779B97F4A7C15) + steps * _signed(0xD1B54A32D192ED03)
    state = _mixed(_mixed(state) ^ _mixed(torch.full_like(state, _signed(key * 0x8CB92BA72F3D8DD7))))
    return ((state >> 40) & 0xFFFFFF).float() / 2**24


def _mixed(state: Tensor) -> Tensor:
    """Every bit of the input moves every bit of the output; int64 wraps around as uint64 would."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ _shifted(state, shift)) * _signed(factor)
    return state ^ _shifted(state, 31)


def _shifted(state: Tensor, by: int) -> Tensor:
    """Logical shift to the right: torch's fills with the sign."""
    return (state >> by) & ((1 << (64 - by)) - 1)


def _signed(value: int) -> int:
    """`value` modulo 2^64 as a signed number."""
    value %= 1 << 64
    return value - (1 << 64) if value >> 63 else value


def _crop_boxes(chance: Chance, config: AugmentConfig) -> Float[Tensor, "b 4"]:
    """Boxes (x0, y0, x1, y1), shares of the face's side; a side that would exceed the face is cut to it."""
    area = between(next(chance), *config.crop_area)
    low, high = (torch.tensor(each).log().item() for each in config.crop_aspect)
    aspect = between(next(chance), low, high).exp()
    width, height = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    x0, y0 = next(chance) * (1 - width), next(chance) * (1 - height)
    return torch.stack((x0, y0, x0 + width, y0 + height), 1)


def _jittered(views: Tensor, chance: Chance, config: AugmentConfig) -> Tensor:
    """Brightness, contrast and saturation, each times a factor; clamped to [0, 1]."""
    on = next(chance) < config.jitter
    low, high = 1 - config.strength, 1 + config.strength
    factors = [torch.where(on, between(next(chance), low, high), 1.0) for _ in range(3)]
    brightness, contrast, saturation = map(per_face, factors)
    views = views * brightness
    views = torch.lerp(views.mean((1, 2, 3), keepdim=True), views, contrast)
    if views.shape[1] == 3:
        views = torch.lerp(_luminance(views), views, saturation)
    return views.clamp_(0, 1)


def _greyed(views: Tensor, on: Tensor) -> Tensor:
    return views if views.shape[1] == 1 else torch.where(per_face(on), _luminance(views), views)


def _luminance(views: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 1 s s"]:
    weights = torch.tensor(GREY, device=views.device).view(1, 3, 1, 1)
    return (views * weights).sum(1, keepdim=True)


def _blurred(views: Tensor, on: Tensor) -> Tensor:
    """`BLUR` along both axes where `on`."""
    where = worth_computing(on)
    some = functional.pad(views[where], (1, 1, 1, 1), mode="replicate")
    some = BLUR[0] * some[..., :-2] + BLUR[1] * some[..., 1:-1] + BLUR[2] * some[..., 2:]
    some = BLUR[0] * some[:, :, :-2] + BLUR[1] * some[:, :, 1:-1] + BLUR[2] * some[:, :, 2:]
    return views.index_copy(0, where, torch.where(per_face(on[where]), some, views[where]))
