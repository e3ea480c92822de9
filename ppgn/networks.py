"""The architectures we train, each an `nn.Module` described by one dataclass.

Every network carries `architecture` (its name in `build`) and `config` (a dataclass that JSON can hold), which is all a
bundle needs to rebuild it. Pixels are RGB (or any channel count) in [0, 1]; normalisation happens inside the networks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ppgn import images


@dataclass(frozen=True)
class Fc6EncoderConfig:
    """A convolutional trunk under the fully connected head fc6 -> fc7 -> classes.

    `trunk` is "convnet" (ours, from scratch, `widths`) or the name of a torchvision model, of which the convolutional
    part is used. `depths` names the trunk's children whose outputs serve feature matching; the last child's output is
    pool5. `mean`, `std` and `bgr` say how the trunk wants its pixels, in units of [0, 1].
    """

    classes: int = 10
    trunk: str = "convnet"
    depths: tuple[str, ...] = ()
    widths: tuple[int, ...] = (32, 64, 128, 256)
    channels: int = 3
    input_size: int = 64
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)
    bgr: bool = False
    pool5_channels: int = 256
    pool5_size: int = 4
    reduce: int = 128
    code_size: int = 512
    hidden: int = 512
    dropout: float = 0.2


class Fc6Encoder(nn.Module):
    """Image -> code: the units of a classifier's first fully connected layer after their ReLU (fc6; PPGN section 3.1)."""

    architecture = "fc6_encoder"

    def __init__(self, config: Fc6EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = convnet_trunk(config) if config.trunk == "convnet" else torchvision_trunk(config.trunk)
        missing = set(config.depths) - set(dict(self.trunk.named_children()))
        if missing:
            raise ValueError(
                f"trunk {config.trunk} has no children {sorted(missing)}; choose depths from "
                f"{[name for name, _ in self.trunk.named_children()]}"
            )
        reduced = config.reduce or config.pool5_channels
        self.reduce = nn.Conv2d(config.pool5_channels, reduced, 1) if config.reduce else nn.Identity()
        self.fc6 = nn.Linear(reduced * config.pool5_size**2, config.code_size)
        self.fc7 = nn.Linear(config.code_size, config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.fc8 = nn.Linear(config.hidden, config.classes)

    def maps(self, image: Tensor) -> list[Tensor]:
        """Feature maps `[picture, channel, height, width]` at `config.depths`, then pool5; one pass through the trunk."""
        settings = self.config
        activation = images.resize(image, settings.input_size)
        activation = images.normalise(activation, settings.mean, settings.std, settings.bgr)
        kept = []
        for name, child in self.trunk.named_children():
            activation = child(activation)
            if name in settings.depths:
                kept.append(activation)
        return [*kept, activation]

    def fc6_before_relu(self, pool5: Tensor) -> Tensor:
        """fc6 before its ReLU, `[picture, code]`."""
        return self.fc6(torch.relu(self.reduce(pool5)).flatten(1))

    def code_from_pool5(self, pool5: Tensor) -> Tensor:
        """fc6 after ReLU, `[picture, code]`."""
        return torch.relu(self.fc6_before_relu(pool5))

    def logits_from_code(self, code: Tensor) -> Tensor:
        """fc8, `[picture, class]`, before the softmax."""
        return self.fc8(self.dropout(torch.relu(self.fc7(code))))

    def forward(self, image: Tensor) -> Tensor:
        """The code `[picture, code]` of pictures `[picture, channel, height, width]`."""
        return self.code_from_pool5(self.maps(image)[-1])


def convnet_trunk(config: Fc6EncoderConfig) -> nn.Sequential:
    """Blocks of two 3x3 convolutions with BatchNorm and ReLU, a 2x2 max-pool after each."""
    trunk = nn.Sequential()
    channels = config.channels
    for index, width in enumerate(config.widths):
        block = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        trunk.add_module(f"block{index}", block)
        channels = width
    return trunk


def torchvision_trunk(name: str) -> nn.Sequential:
    """The convolutional part of a torchvision model, random weights: its `features`, or its children up to `avgpool`."""
    from torchvision import models  # deferred: `import ppgn` stays light

    known = models.list_models(module=models)
    if name not in known:
        raise ValueError(f"unknown trunk {name!r}: use 'convnet' or a torchvision classifier, one of {', '.join(known)}")
    model = models.get_model(name, weights=None)
    trunk = nn.Sequential()
    features = getattr(model, "features", None)
    for child_name, child in (features if features is not None else model).named_children():
        if child_name in ("avgpool", "fc", "classifier", "head", "heads"):
            break
        trunk.add_module(child_name, child)
    for module in trunk.modules():
        if hasattr(module, "inplace"):
            setattr(module, "inplace", False)  # noqa: B010 - a map that feature matching keeps must not be overwritten by the next layer
    return trunk


@dataclass(frozen=True)
class ImageGeneratorConfig:
    """`stages` lists (upconvolution width, following convolution width or 0), each doubling the size from `base_size`.

    `output` "conv" adds a 3x3 convolution to the pixels, "upconv" one more doubling (the published deconv0);
    `output_range` is "tanh" (bounded to [0, 1]) or "linear" (0.5 + x, as published). `code_scale` divides the code.
    """

    code_size: int = 512
    channels: int = 3
    hidden: tuple[int, ...] = (1024, 1024)
    base_channels: int = 256
    base_size: int = 4
    stages: tuple[tuple[int, int], ...] = ((256, 256), (128, 128), (64, 64), (32, 32))
    output: str = "conv"
    output_range: str = "tanh"
    batch_norm: bool = True
    slope: float = 0.2
    code_scale: float = 1.0

    @property
    def image_size(self) -> int:
        return self.base_size * 2 ** (len(self.stages) + (self.output == "upconv"))


class ImageGenerator(nn.Module):
    """Code -> image by fully connected layers and upconvolutions (Dosovitskiy & Brox 2016; DGN-AM; PPGN section 3.2)."""

    architecture = "image_generator"

    def __init__(self, config: ImageGeneratorConfig) -> None:
        super().__init__()
        self.config = config
        base = config.base_channels * config.base_size**2
        sizes = (config.code_size, *config.hidden, base)
        layers: list[nn.Module] = []
        for size_in, size_out in zip(sizes, sizes[1:], strict=False):
            layers += [nn.Linear(size_in, size_out), nn.LeakyReLU(config.slope)]
        self.fully_connected = nn.Sequential(*layers)
        self.upconvolutions = nn.Sequential()
        channels = config.base_channels
        for index, (up, refine) in enumerate(config.stages):
            self.upconvolutions.add_module(f"up{index}", self._block(nn.ConvTranspose2d(channels, up, 4, 2, 1)))
            channels = up
            if refine:
                self.upconvolutions.add_module(f"conv{index}", self._block(nn.Conv2d(up, refine, 3, padding=1)))
                channels = refine
        to_pixels = nn.Conv2d(channels, config.channels, 3, padding=1)
        self.to_pixels = nn.ConvTranspose2d(channels, config.channels, 4, 2, 1) if config.output == "upconv" else to_pixels

    def _block(self, convolution: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
        norm = [nn.BatchNorm2d(convolution.out_channels)] if self.config.batch_norm else []
        return nn.Sequential(convolution, *norm, nn.LeakyReLU(self.config.slope))

    def forward(self, code: Tensor) -> Tensor:
        """Image `[chain, channel, height, width]` of codes `[chain, code]`."""
        settings = self.config
        base = self.fully_connected(code / settings.code_scale)
        base = base.unflatten(1, (settings.base_channels, settings.base_size, settings.base_size))
        pixels = self.to_pixels(self.upconvolutions(base))
        return 0.5 + 0.5 * torch.tanh(pixels) if settings.output_range == "tanh" else 0.5 + pixels


@dataclass(frozen=True)
class CodeDenoiserConfig:
    """Seven layers; the published 4096-2048-1024-500-1024-2048-4096 is `hidden` in shares of the code size."""

    code_size: int = 512
    hidden: tuple[float, ...] = (0.5, 0.25, 0.122, 0.25, 0.5)
    code_scale: float = 1.0


class CodeDenoiser(nn.Module):
    """R(code): the denoising auto-encoder on codes that gives PPGN-h its prior, R(h) - h ~ sigma^2 * score (PPGN 3.3)."""

    architecture = "code_denoiser"

    def __init__(self, config: CodeDenoiserConfig) -> None:
        super().__init__()
        self.config = config
        sizes = [
            config.code_size,
            *(max(1, round(share * config.code_size)) for share in config.hidden),
            config.code_size,
        ]
        layers: list[nn.Module] = []
        for size_in, size_out in zip(sizes, sizes[1:], strict=False):
            layers += [nn.Linear(size_in, size_out), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, code: Tensor) -> Tensor:
        """Denoised codes `[chain, code]`."""
        return self.layers(code / self.config.code_scale) * self.config.code_scale


@dataclass(frozen=True)
class RectifiedGaussianConfig:
    code_size: int = 512


class RectifiedGaussian(nn.Module):
    """Random codes that look like real ones: ReLU(mean + factor @ noise), fitted to fc6 before its ReLU over real pictures."""

    architecture = "rectified_gaussian"

    def __init__(self, config: RectifiedGaussianConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(config.code_size))
        self.register_buffer("factor", torch.eye(config.code_size))

    def fit(self, before_relu: Tensor) -> RectifiedGaussian:
        """Mean and Cholesky factor of the covariance of `[picture, code]`; a thousandth of the variance keeps it regular."""
        covariance = torch.cov(before_relu.double().T)
        ridge = 1e-3 * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=torch.float64)
        self.mean = before_relu.mean(0)
        self.factor = torch.linalg.cholesky(covariance + ridge).float()
        return self

    def forward(self, noise: Tensor) -> Tensor:
        """Codes `[chain, code]` of standard normal noise `[chain, code]`."""
        return torch.relu(self.mean + noise @ self.factor.T)


@dataclass(frozen=True)
class PixelDenoiserConfig:
    """`blocks` residual blocks of two 3x3 convolutions on `patch` x `patch` pixels at a time; 2 pixels cost a quarter of 1."""

    channels: int = 3
    width: int = 64
    blocks: int = 4
    patch: int = 2


class PixelDenoiser(nn.Module):
    """R_x(image) = image + network(image): the denoising auto-encoder on pixels that gives PPGN-x its prior (PPGN 3.1).

    Patches become channels and back, as in FFDNet (Zhang et al. 2018). The last layer starts at zero: untrained, R_x is
    the identity. No BatchNorm, so a chain is the same alone and in a batch.
    """

    architecture = "pixel_denoiser"

    def __init__(self, config: PixelDenoiserConfig) -> None:
        super().__init__()
        self.config = config
        patch_channels = config.channels * config.patch**2
        self.first = nn.Conv2d(patch_channels, config.width, 3, padding=1)
        self.blocks = nn.ModuleList(self._block() for _ in range(config.blocks))
        self.last = nn.Conv2d(config.width, patch_channels, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # pyright: ignore[reportArgumentType] - a Conv2d has one unless told otherwise

    def _block(self) -> nn.Sequential:
        width = self.config.width
        convolutions = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        return nn.Sequential(*(layer for convolution in convolutions for layer in (nn.ReLU(), convolution)))

    def forward(self, image: Tensor) -> Tensor:
        """Denoised pixels `[chain, channel, height, width]`, not clipped; ValueError for a size that `patch` does not divide."""
        patch = self.config.patch
        if image.shape[-2] % patch or image.shape[-1] % patch:
            raise ValueError(
                f"the pixel denoiser got a picture of {image.shape[-2]}x{image.shape[-1]} pixels, expected multiples of {patch}: "
                f"resize or crop it"
            )
        features = self.first(functional.pixel_unshuffle(2 * image - 1, patch))
        for block in self.blocks:
            features = features + block(features)
        return image + functional.pixel_shuffle(self.last(torch.relu(features)), patch)


@dataclass(frozen=True)
class IdentityGeneratorConfig:
    channels: int = 3
    size: int = 64


class IdentityGenerator(nn.Module):
    """G(code) = code: pixels are a generator too, so PPGN-x runs in the same loop as all others. It has no weights."""

    architecture = "identity_generator"

    def __init__(self, config: IdentityGeneratorConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, code: Tensor) -> Tensor:
        """The image `[chain, channel, size, size]` that the code is; ValueError for another shape. It does not clip: pixels
        stay in [0, 1] by the sampler's code_range (0, 1)."""
        shape = (self.config.channels, self.config.size, self.config.size)
        if code.shape[1:] != shape:
            raise ValueError(
                f"the identity generator got a code of shape {tuple(code.shape)}, expected {('chain', *shape)}: "
                f"start from pixels of that size"
            )
        return code


ARCHITECTURES: dict[str, tuple[type[nn.Module], type[Any]]] = {
    Fc6Encoder.architecture: (Fc6Encoder, Fc6EncoderConfig),
    ImageGenerator.architecture: (ImageGenerator, ImageGeneratorConfig),
    CodeDenoiser.architecture: (CodeDenoiser, CodeDenoiserConfig),
    RectifiedGaussian.architecture: (RectifiedGaussian, RectifiedGaussianConfig),
    PixelDenoiser.architecture: (PixelDenoiser, PixelDenoiserConfig),
    IdentityGenerator.architecture: (IdentityGenerator, IdentityGeneratorConfig),
}


def build(architecture: str, config: dict[str, Any]) -> nn.Module:
    """The network named `architecture` from a JSON-like `config`; raises ValueError for unknown names or keys."""
    if architecture not in ARCHITECTURES:
        raise ValueError(f"unknown architecture {architecture!r}: this version knows {', '.join(ARCHITECTURES)}")
    network, settings = ARCHITECTURES[architecture]
    unknown = set(config) - {field.name for field in dataclasses.fields(settings)}
    if unknown:
        raise ValueError(f"{architecture} has no setting {', '.join(sorted(unknown))}: was it made by a newer ppgn?")
    return network(settings(**{key: _tuples(value) for key, value in config.items()}))


def _tuples(value: Any) -> Any:
    """JSON's lists as the tuples that frozen configurations hold."""
    return tuple(_tuples(item) for item in value) if isinstance(value, Sequence) and not isinstance(value, str) else value
