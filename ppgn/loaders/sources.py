"""Sources of networks, and the input each states: the weights' packages, libraries, Caffe files, a user's module, a bundle."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ppgn.bundle import Bundle
from ppgn.images import Size
from ppgn.loaders.callables import result_of
from ppgn.loaders.hub import config_of, vision_tower
from ppgn.loaders.presets import preset
from ppgn.networks import PUBLISHED, timm_network
from ppgn.networks import NetworkSource as NetworkSource
from ppgn.probe import Preprocessed
from ppgn.types import Image

BUNDLE_CLASSIFIER = "bundle:classifier"
"""The bundle's encoder and its head, as a network."""
FORMS = "lite:0, torchvision:NAME, timm:NAME, hf:FOLDER, caffe:PROTOTXT,CAFFEMODEL, my_module:function or bundle:classifier"


class Classifier(nn.Module):
    """Encoder and head of a bundle, image -> logits `[chain, class]`. Layers keep their names in the encoder."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        for name, child in encoder.named_children():
            self.add_module(name, child)
        self._encoder = (encoder,)  # in a tuple, so that its layers are registered only once

    def forward(self, image: Image) -> Tensor:
        code = self._encoder[0](image)  # a pass to a layer ends here, and needs no head
        return self._encoder[0].logits_from_code(code)


def build(name: str, bundle: Bundle | None = None, *, trained: bool = False, size: Size | None = None) -> NetworkSource:
    """Builds the network of that name (see `network`) without a file of weights, which is enough to list its layers.

    trained: with the weights that transformers stores beside the config, which other sources have in files of their own. size: of
    another input than the source states, which timm's vision transformers are then built for.
    Raises ValueError for an unknown name, and for a source that is not installed or fails.
    """
    source, colon, rest = name.partition(":")
    if not (source and colon and rest):
        raise ValueError(f"cannot read {name!r} as a network, expected {FORMS}: write it in one of these ways")
    if source in PUBLISHED:
        return timm_network(rest, size) if source == "timm" else PUBLISHED[source](rest)
    if source == "hf":
        return _transformers(rest, trained)
    if source == "caffe":
        return _caffe(rest)
    return _of_bundle(rest, bundle) if source == "bundle" else _from_module(name)


def class_names(name: str, bundle: Bundle | None = None) -> tuple[str, ...]:
    """The classes of a network by its name, as its library or bundle lists them; () where neither does."""
    source, _, rest = name.partition(":")
    if source in ("lite", "torchvision"):
        from torchvision import models

        rest = "resnet18" if source == "lite" else rest  # of the same 1000 classes of ImageNet, in the same order
        return tuple(models.get_model_weights(rest)["DEFAULT"].meta.get("categories", ()))
    if source == "hf":
        labels = config_of(rest).id2label
        return () if "LABEL_0" in labels.values() else tuple(str(labels[index]) for index in sorted(labels))
    return bundle.classes if source == "bundle" and bundle is not None else ()


def input_channels(module: nn.Module, default: int = 3) -> int:
    """The number of channels that a network says it takes, or its first convolution; `default` where there is none."""
    if isinstance(said := getattr(module, "input_channels", None), int):
        return said
    return next((layer.in_channels for layer in module.modules() if isinstance(layer, nn.Conv2d)), default)


def _transformers(place: str, trained: bool) -> NetworkSource:
    module, stated = vision_tower(place, trained)
    if (usual := preset(module)) is not None:
        stated = {"size": usual.size, "mean": usual.mean, "std": usual.std} | stated
    return NetworkSource(module, **stated)


def _caffe(files: str) -> NetworkSource:
    from ppgn.caffe import MEAN
    from ppgn.loaders.caffe_networks import caffe_network

    module, size = caffe_network(files)
    if module.input_channels != len(MEAN):
        return NetworkSource(module, size)  # what was subtracted from grey pictures, no file says
    return NetworkSource(module, size, tuple(value / 255 for value in MEAN), 1 / 255, bgr=True)


def _of_bundle(part: str, bundle: Bundle | None) -> NetworkSource:
    if part != "classifier" or bundle is None:
        raise ValueError(
            f"got the network 'bundle:{part}' {'of' if bundle else 'without'} a bundle, expected bundle:classifier with one: "
            f"{'write classifier' if bundle else 'give bundle=BUNDLE'}"
        )
    if bundle.encoder is None or not bundle.classes:
        lacking = "encoder" if bundle.encoder is None else "classes"
        raise ValueError(f"bundle {bundle.name} has no {lacking} for bundle:classifier, expected both: name another network")
    return NetworkSource(Classifier(bundle.encoder), bundle.image.size, 0.0, 1.0)  # the encoder normalises its input itself


def _from_module(name: str) -> NetworkSource:
    made = result_of(name, "a module")
    if isinstance(made, Preprocessed):
        return NetworkSource(made.network, made.size, made.mean, made.std, made.bgr)
    if not isinstance(made, nn.Module):
        raise ValueError(
            f"{name}() returned {type(made).__name__}, expected an nn.Module or ppgn.probe.Preprocessed: return the network"
        )
    return NetworkSource(made)
