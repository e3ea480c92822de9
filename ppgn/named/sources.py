"""Where networks come from: torchvision, timm, Caffe's files, a user's module, a bundle; and what each knows of its input."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ppgn.bundle import Bundle
from ppgn.faults import told
from ppgn.named.attributes import attribute
from ppgn.probe import Seen
from ppgn.types import Image

FORMS = "torchvision:NAME, timm:NAME, caffe:PROTOTXT,CAFFEMODEL, my_module:function or bundle:classifier"
BUILD = {  # these two were trained on another range than the library's metadata say, and convert it themselves when told to
    name: {"transform_input": True, "init_weights": False} for name in ("inception_v3", "googlenet")
}


@dataclass(frozen=True, eq=False)
class Built:
    """A network as its source builds it, and what the source knows of its input (None: nothing), in the terms of Seen."""

    module: nn.Module
    size: int | tuple[int, int] | None = None
    mean: float | Sequence[float] | None = None
    std: float | Sequence[float] | None = None
    bgr: bool = False


class Classifier(nn.Module):
    """A bundle's encoder and head, image -> logits `[chain, class]`; its layers keep the names they have in the encoder."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        for name, child in encoder.named_children():
            self.add_module(name, child)
        self._logits = lambda image: encoder.logits_from_code(encoder(image))

    def forward(self, image: Image) -> Tensor:
        return self._logits(image)


def build(name: str, bundle: Bundle | None = None) -> Built:
    """The architecture of that name (see `network`) without a weights file: enough to list its layers."""
    source, colon, rest = name.partition(":")
    if not (source and colon and rest):
        raise ValueError(f"cannot read {name!r} as a network, expected {FORMS}: write it in one of these ways")
    if source == "torchvision":
        return _torchvision(rest)
    if source == "timm":
        return _timm(rest)
    if source == "caffe":
        return _caffe(rest)
    return _of_bundle(rest, bundle) if source == "bundle" else _own(name)


def class_names(name: str, bundle: Bundle | None = None) -> tuple[str, ...]:
    """The classes of the network of that name, as its library's metadata list them; () where they do not."""
    source, _, rest = name.partition(":")
    if source == "torchvision":
        from torchvision import models

        return tuple(models.get_model_weights(rest)["DEFAULT"].meta.get("categories", ()))
    return bundle.class_names if source == "bundle" and bundle is not None else ()


def input_channels(module: nn.Module, otherwise: int = 3) -> int:
    """The channels that a network's first convolution takes."""
    return next((layer.in_channels for layer in module.modules() if isinstance(layer, nn.Conv2d)), otherwise)


def _torchvision(name: str) -> Built:
    from torchvision import models  # deferred: `import ppgn` stays light

    known = models.list_models(module=models)
    if name not in known:
        nearest = ", ".join(difflib.get_close_matches(name, known, 3, cutoff=0))
        raise ValueError(f"torchvision has no classifier {name!r}, expected a name such as {nearest}: correct it")
    seen: Any = models.get_model_weights(name)["DEFAULT"].transforms()
    height, width = (*seen.crop_size, *seen.crop_size)[:2]
    return Built(models.get_model(name, weights=None, **BUILD.get(name, {})), (height, width), tuple(seen.mean), tuple(seen.std))


def _timm(name: str) -> Built:
    try:
        import timm  # pyright: ignore[reportMissingImports]
    except ImportError as fault:
        raise ValueError(f"timm:{name} needs the library timm, which is not here: pip install timm") from fault
    if not timm.is_model(name):
        nearest = ", ".join(difflib.get_close_matches(name, timm.list_models(), 3, cutoff=0))
        raise ValueError(f"timm has no model {name!r}, expected a name such as {nearest}: correct it")
    module = timm.create_model(name, pretrained=False)
    known: Any = module.pretrained_cfg
    return Built(module, tuple(known["input_size"][1:]), tuple(known["mean"]), tuple(known["std"]))


def _caffe(files: str) -> Built:
    from ppgn.named.caffe_networks import MEAN, caffe_network  # deferred: few need it

    module, size = caffe_network(files)
    return Built(module, size, tuple(value / 255 for value in MEAN), 1 / 255, bgr=True)


def _of_bundle(part: str, bundle: Bundle | None) -> Built:
    if part != "classifier" or bundle is None:
        raise ValueError(
            f"got the network 'bundle:{part}' {'of' if bundle else 'without'} a bundle, expected bundle:classifier in `ppgn "
            f"sample BUNDLE`: write classifier, or for `ppgn layers` the bundle's own name"
        )
    return Built(Classifier(bundle.encoder), bundle.image_size, 0.0, 1.0)  # the encoder normalises its input itself


def _own(name: str) -> Built:
    function = attribute(name)
    try:
        made = function()
    except Exception as fault:  # anything can go wrong in a user's function
        raise ValueError(
            f"{name}() failed ({told(fault)}): make it a function without arguments that returns a module"
        ) from fault
    if isinstance(made, Seen):
        return Built(made.network, made.size, made.mean, made.std, made.bgr)
    if not isinstance(made, nn.Module):
        raise ValueError(f"{name}() returned {type(made).__name__}, expected an nn.Module or ppgn.probe.Seen: return the network")
    return Built(made)
