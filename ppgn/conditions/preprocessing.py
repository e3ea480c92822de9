"""The preprocessing of another library's image processor, differentiable with respect to its pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional

from ppgn.images import normalise
from ppgn.types import Image

MODES = {1: "bicubic", 2: "bilinear", 3: "bicubic"}
"""Pillow's number of a filter -> torch's name; 1 is Lanczos, for which transformers too takes bicubic on tensors."""
UNREAD = ("do_pad", "do_thumbnail", "do_align_long_axis", "do_image_splitting", "do_flip_channel_order")


@dataclass(frozen=True)
class Preprocessing:
    """(crop(resize(image)) * scale - mean) / std, `[chain, channel, height, width]` in [0, 1] -> what a network is given.

    size: (height, width), or the length of the shorter side, or None for no resize; always antialiased. crop: the centre
    (height, width), with zeros around an image that is smaller, or None. mean and std: per channel, of scale * image. to_int: how
    half a pixel of the crop's offset is rounded (transformers cuts it off, torchvision rounds to even). A grey image is given to
    all channels. Libraries round resized pixels to 8 bits; this does not, and bicubic overshoot is kept.
    """

    size: int | tuple[int, int] | None
    crop: tuple[int, int] | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float = 1.0
    mode: str = "bicubic"
    to_int: Callable[[float], int] = int

    @classmethod
    def from_transformers(cls, image_processor: Any) -> Preprocessing:
        """Of an image processor of transformers, by its `to_dict`: do_resize, size, resample, do_center_crop, crop_size,
        do_rescale, rescale_factor, do_normalize, image_mean, image_std. Raises ValueError for any other step it takes."""
        settings = image_processor.to_dict()
        unread = [name for name in UNREAD if settings.get(name)]
        resample = int(settings.get("resample", 2))
        if unread or resample not in MODES or settings.get("rescale_offset"):
            raise ValueError(
                f"an image processor got {unread[0] if unread else f'resample={resample} or a rescale_offset'}, expected only "
                f"resize (bilinear or bicubic), centre crop, rescale and normalise: write what it does as a function `prepare`"
            )
        crop = settings["crop_size"] if settings.get("do_center_crop") else None
        normalises = settings.get("do_normalize", False)
        return cls(
            size=_size(settings["size"]) if settings.get("do_resize") else None,
            crop=(crop["height"], crop["width"]) if crop else None,
            mean=tuple(settings["image_mean"]) if normalises else (0.0,),
            std=tuple(settings["image_std"]) if normalises else (1.0,),
            scale=255 * (settings["rescale_factor"] if settings.get("do_rescale", True) else 1.0),
            mode=MODES[resample],
        )

    @classmethod
    def from_open_clip(cls, config: Mapping[str, Any]) -> Preprocessing:
        """Of `open_clip.get_model_preprocess_cfg(model)`. Raises ValueError for resize_mode "longest" and for "shortest" with
        an input that is no square."""
        size = config["size"]
        height, width = (size, size) if isinstance(size, int) else tuple(size)
        how = config["resize_mode"]
        if how == "longest" or (how == "shortest" and height != width):
            raise ValueError(
                f"an open_clip model resizes by {how!r} to {(height, width)}, expected 'squash' or 'shortest' to a square: "
                f"choose a model that does"
            )
        mode = "bilinear" if config["interpolation"] == "bilinear" else "bicubic"
        mean, std = tuple(config["mean"]), tuple(config["std"])
        if how == "squash":
            return cls((height, width), None, mean, std, mode=mode)
        return cls(height, (height, width), mean, std, mode=mode, to_int=round)

    def __call__(self, image: Image) -> Tensor:
        pixels = self._cropped(self._resized(image))
        if pixels.shape[1] == 1:
            pixels = pixels.expand(-1, max(3, len(self.mean)), -1, -1)
        mean, std = (tuple(value / self.scale for value in values) for values in (self.mean, self.std))
        return normalise(pixels, mean, std)

    def _resized(self, image: Image) -> Image:
        if self.size is None:
            return image
        height, width = image.shape[-2:]
        shorter = min(height, width)
        size = (self.size * height // shorter, self.size * width // shorter) if isinstance(self.size, int) else self.size
        if (height, width) == size:
            return image
        return functional.interpolate(image, size, mode=self.mode, align_corners=False, antialias=True)

    def _cropped(self, image: Image) -> Image:
        if self.crop is None or tuple(image.shape[-2:]) == self.crop:
            return image
        margins = [self._margins(whole, part) for whole, part in zip(image.shape[-2:], self.crop, strict=True)]
        return functional.pad(image, (*margins[1], *margins[0]))

    def _margins(self, whole: int, part: int) -> tuple[int, int]:
        """Pixels to add before and after an axis, negative where it is cut."""
        before = (part - whole) // 2 if part > whole else -self.to_int((whole - part) / 2)
        return before, part - whole - before


def _size(size: Mapping[str, int]) -> int | tuple[int, int]:
    if set(size) == {"height", "width"}:
        return size["height"], size["width"]
    if set(size) == {"shortest_edge"}:
        return size["shortest_edge"]
    raise ValueError(
        f"an image processor got the size {dict(size)}, expected height and width, or shortest_edge: write what it does as a "
        f"function `prepare`"
    )
