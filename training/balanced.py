"""The balanced update: losses on a picture, at a trunk's maps and from adversaries, in one backward pass of the generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ppgn.images import Size
from training.augmentation import augment_pair
from training.balance import GradientBalance
from training.losses import distance
from training.projected import ProjectedConfig, ProjectedDiscriminator
from training.rates import LateAdversary

Look = Callable[[Tensor], list[Tensor]]
"""Pictures -> maps, shallow to deep."""


@dataclass(frozen=True)
class Ruler:
    """A frozen torchvision classifier whose maps compare a picture with its reconstruction.

    trunk: its name. weights: a file in torchvision's spelling; without it torchvision downloads its own. depths: the children
    whose maps are compared besides the last one's. input_size: height and width to which pictures are resized for it, or the
    side of a square; 0 keeps their own. mean, std, bgr: normalisation of the pixels, in units of [0, 1].
    """

    trunk: str = "squeezenet1_1"
    weights: Path | None = None
    depths: tuple[str, ...] = ("4", "7")
    input_size: Size = 0
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    bgr: bool = False


@dataclass(frozen=True)
class Balanced:
    """Weights of the balanced losses: the length that each one's gradient has in the sum, so that no unit matters.

    image (L1) and ruler (unit-length maps of `compare`) look at the plain pair; trunk and pixels (the pixel tower) at the
    augmented pair. Within trunk, at its maps: features (unit-length maps) and projected (the towers on mixed maps).
    """

    image: float = 0.15
    ruler: float = 0.6
    trunk: float = 0.9
    pixels: float = 0.3
    features: float = 0.5
    projected: float = 0.6
    compare: Ruler = Ruler()
    discriminator: ProjectedConfig = ProjectedConfig()
    adversary: LateAdversary = LateAdversary()

    def balance(self) -> GradientBalance:
        """A new balance of these losses."""
        names = ("image", "ruler", "trunk", "pixels", "features", "projected")
        return GradientBalance({name: getattr(self, name) for name in names})


ADVERSARIES = ("projected", "pixels")
"""The losses whose weights rise late."""
SHOWN = ("image", "ruler", "features", "projected", "pixels", "discriminator", "real", "made")
"""What an update reports: the losses, then the mean scores of real and of made pictures."""


@dataclass(frozen=True)
class BalancedUpdate:
    """One update of the discriminator, then one of the generator, from the same pass; the caller chooses precision and device.

    trunk, ruler: pictures -> maps, of frozen networks. code_scale: divides the codes that the discriminator sees.
    """

    generator: nn.Module
    discriminator: ProjectedDiscriminator
    balance: GradientBalance
    trunk: Look
    ruler: Look
    code_scale: float | Tensor = 1.0

    def __call__(self, pictures: Tensor, code: Tensor, ours: Any, theirs: Any, opposed: bool = True) -> Tensor:
        """Values of `SHOWN`, 0 where nobody looked.

        pictures: real ones, in [0, 1]; code: theirs; ours, theirs: optimizers of the two networks. opposed: whether the adversary
        takes part; as long as it waits, leaving it out saves its passes.
        """
        made = self.generator(code)
        picture = _cut(made)
        shown, shown_made = augment_pair(pictures, picture)
        seen = _cut(shown_made)
        with torch.no_grad():
            real_maps, real_ruler = self.trunk(shown), self.ruler(pictures)
        maps = self.trunk(seen)
        own_maps = [_cut(one) for one in maps]
        losses = {
            "image": distance("l1_mean", picture, pictures),
            "ruler": _apart(self.ruler(picture), real_ruler),
            "features": _apart(own_maps, real_maps),
        }
        values = dict.fromkeys(SHOWN, torch.zeros((), device=pictures.device))
        if opposed:
            code = code / self.code_scale
            mixed = self.discriminator.mixing(own_maps)
            values |= self._teach((shown, real_maps), (seen, mixed), code, theirs)
            scores = self.discriminator(seen, mixed, code)
            losses |= {"projected": -scores[:, :-1].mean(0).sum(), "pixels": -scores[:, -1].mean()}
        gradient = self._gradient(losses, picture, shown_made, seen, maps, own_maps)
        _step(ours, self.generator, torch.autograd.grad(made, list(self.generator.parameters()), gradient))
        values |= losses
        return torch.stack([value.detach().float() for value in values.values()])

    def _teach(
        self, real: tuple[Tensor, list[Tensor]], made: tuple[Tensor, list[Tensor]], code: Tensor, theirs: Any
    ) -> dict[str, Tensor]:
        """Update the discriminator on real (pictures, maps) and made (pictures, mixed maps), in one pass for both.

        Its loss is the hinge loss, the mean over pictures, summed over towers.
        """
        with torch.no_grad():
            real_mixed = self.discriminator.mixing(real[1])
        pairs = [torch.cat([one, other.detach()]) for one, other in zip(real_mixed, made[1], strict=True)]
        both = self.discriminator(torch.cat([real[0], made[0].detach()]), pairs, torch.cat([code, code]))
        on_real, on_made = both.chunk(2)
        loss = (torch.relu(1 - on_real) + torch.relu(1 + on_made)).mean(0).sum()
        _step(theirs, self.discriminator, torch.autograd.grad(loss, list(self.discriminator.parameters())))
        return {"discriminator": loss, "real": on_real.mean(), "made": on_made.mean()}

    def _gradient(
        self, losses: dict[str, Tensor], picture: Tensor, shown: Tensor, seen: Tensor, maps: Sequence[Tensor], own: list[Tensor]
    ) -> Tensor:
        """The balanced sum of the losses' gradients with respect to the made picture: from the maps back to the augmented
        picture, from there to the plain one."""
        grad, balance = torch.autograd.grad, self.balance
        at_maps = balance("features", grad(losses["features"], own))
        if "projected" in losses:
            projected = balance("projected", grad(losses["projected"], own, retain_graph=True))
            at_maps = [one + other for one, other in zip(at_maps, projected, strict=True)]
        at_seen = balance("trunk", grad(list(maps), seen, at_maps))[0]
        if "pixels" in losses:
            at_seen = at_seen + balance("pixels", grad(losses["pixels"], seen))[0]
        ruler = balance("ruler", grad(losses["ruler"], picture))[0]
        image = balance("image", grad(losses["image"], picture))[0]
        return grad(shown, picture, at_seen)[0] + ruler + image


def _cut(tensor: Tensor) -> Tensor:
    """The same values, where backward passes end."""
    return tensor.detach().requires_grad_(True)


def _apart(made: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    return torch.stack([distance("unit_channel_square", a, b) for a, b in zip(made, real, strict=True)]).sum()


def _step(optimizer: Any, network: nn.Module, gradients: Sequence[Tensor]) -> None:
    """Let the optimizer take these gradients, whose mean over processes is taken where there are several."""
    for weights, gradient in zip(network.parameters(), gradients, strict=True):
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(gradient, torch.distributed.ReduceOp.SUM)
            gradient = gradient / torch.distributed.get_world_size()
        weights.grad = gradient
    optimizer.step()
