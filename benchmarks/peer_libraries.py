"""How this package and the libraries of benchmarks/peers.py excite a unit of a network, each as its README shows."""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ppgn import chain, priors, recipes, requests, sampling, starts
from ppgn.acceleration import folded, to_channels_last
from ppgn.conditions import Unit
from ppgn.generators import IdentityGenerator, IdentityGeneratorConfig, PhaseGenerator, PhaseGeneratorConfig
from ppgn.loaders import bundle
from ppgn.objective import Objective, Term
from ppgn.probe import Preprocessed
from ppgn.samplers import Langevin
from ppgn.types import CodeSpace

LAYER, CHANNEL = "layer3.1.conv2", 17
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the pixels that torchvision's networks were trained on."""
OURS = ("ppgn", "ppgn, folded", "ppgn, folded, bfloat16", "ppgn, lucid", "ppgn, maco")
PLAIN, LUCID, MACO = OURS[0], OURS[3], OURS[4]


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass
class Job:
    """`steps` steps for `pictures` pictures `[picture, 3, size, size]`; when the network ran, and the shapes of its inputs.

    bare: without the augmentations that a library allows to leave out.
    """

    network: nn.Module
    pictures: int
    size: int
    steps: int
    bare: bool
    times: list[float] = field(default_factory=list)
    processor_times: list[float] = field(default_factory=list)
    shapes: list[Sequence[int]] = field(default_factory=list)

    @property
    def layer(self) -> nn.Module:
        return self.network.get_submodule(LAYER)

    def note(self, shape: Sequence[int]) -> None:
        """Record that a pass of the network over `[picture, channel, height, width]` begins."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.times.append(time.perf_counter())
        self.processor_times.append(time.process_time())
        self.shapes.append(shape)


def ours(job: Job) -> None:
    """Eq. 11 on pixels in [0, 1] with noise, as ppgn_x but without its prior."""
    generator = IdentityGenerator(IdentityGeneratorConfig(3, job.size, job.size))
    condition = Unit(Preprocessed(job.network, job.size, MEAN, STD), f"{LAYER}:{CHANNEL}")
    pixels = CodeSpace((3, job.size, job.size), low=0.0, high=1.0)
    objective = Objective(generator, priors.NoPrior(), [Term("unit", condition)], pixels)
    sampler, seeds = Langevin(prior_scale=0.0, condition_scale=1.0, noise_scale=0.02), range(job.pictures)
    start = starts.random_code(seeds, pixels.shape, mean=0.5, std=0.25, low=0.0, device=device())
    deque(chain.run(sampler, objective, sampler.init(start, seeds), job.steps), maxlen=0)


def ours_folded(job: Job) -> None:
    """The network as `ppgn sample --network torchvision:resnet18 --network-precision float32` runs it."""
    to_channels_last(folded(job.network, traced=True, layers=(LAYER,)))
    ours(job)


def ours_quick(job: Job) -> None:
    """The network as `ppgn sample --network torchvision:resnet18` runs it where bfloat16 is faster."""
    to_channels_last(folded(job.network, traced=True, layers=(LAYER,))).to(torch.bfloat16)
    ours(job)


def ours_recipe(job: Job, *, recipe: str) -> None:
    """A recipe for pixels, as `ppgn sample pixels:224 --recipe ...` runs it, with the network as it is."""
    canvas = bundle(f"pixels:{job.size}", device())
    condition = Unit(Preprocessed(job.network, job.size, MEAN, STD), f"{LAYER}:{CHANNEL}")
    request = requests.of(canvas, condition, job.pictures)
    setup = recipes.prepare(canvas, recipes.recipe_for(canvas, request.kind, recipe, steps=job.steps), request)
    deque(sampling.evaluations(setup, recipes.objective(setup, request), range(job.pictures)), maxlen=0)


def lucent(job: Job) -> None:
    render, param = (importlib.import_module(f"lucent.optvis.{name}") for name in ("render", "param"))
    render.render_vis(
        job.network,
        f"{LAYER.replace('.', '_')}:{CHANNEL}",
        lambda: param.image(job.size, batch=job.pictures),
        transforms=[] if job.bare else None,
        thresholds=(job.steps,),
        show_image=False,
        progress=False,
    )


def torch_dreams(job: Job) -> None:
    library = importlib.import_module("torch_dreams")
    batched = importlib.import_module("torch_dreams.batched_image_param").BatchedAutoImageParam
    objective = importlib.import_module("torch_dreams.batched_objective").BatchedObjective
    dreamer = library.Dreamer(job.network, quiet=True, device=str(device()))
    if job.bare:
        dreamer.set_custom_transforms(nn.Identity())
    size: dict[str, int] = {"width": job.size, "height": job.size}
    several = batched(job.pictures, **size, device=str(device())) if job.pictures > 1 else None
    aim = objective([_minus_unit] * job.pictures) if job.pictures > 1 else _minus_unit
    dreamer.render([job.layer], image_parameter=several, **size, iters=job.steps, custom_func=aim)


def _minus_unit(layer_outputs: list[Tensor]) -> Tensor:
    return -layer_outputs[0][:, CHANNEL].mean()


def horama(job: Job, *, method: str) -> None:
    """A single picture, by `fourier` or `maco` of its README. `maco` would download a spectrum: that of ppgn lies where it looks
    for its own, since values do not matter to the time."""
    found: list[Tensor] = []
    handle = job.layer.register_forward_hook(lambda *arguments: found.append(arguments[2]))  # module, inputs, output

    def unit(images: Tensor) -> Tensor:
        job.network(images)
        return found.pop()[:, CHANNEL].mean()

    crops: dict[str, int] = {"crops_per_iteration": 2} if job.bare else {}  # with 1 it raises: it squeezes the axis away
    optimise, whole = getattr(importlib.import_module("horama"), method), {"image_size": job.size, "model_input_size": job.size}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stderr(io.StringIO()):  # its bar
        np.save("spectrum_decorrelated.npy", PhaseGenerator(PhaseGeneratorConfig(3, job.size, job.size)).magnitude.numpy())
        optimise(unit, total_steps=job.steps, **whole, device=str(device()), **crops)
    handle.remove()


def xplique(job: Job) -> None:
    """It takes Keras networks only: the same architecture in Keras, whose passes are over pictures of the input's size."""
    tensorflow = importlib.import_module("tensorflow")
    library = importlib.import_module("xplique.features_visualizations")

    class Noting(tensorflow.keras.optimizers.Adam):
        def apply_gradients(self, *given: Any, **named: Any) -> Any:
            job.note((job.pictures, 3, job.size, job.size))
            return super().apply_gradients(*given, **named)

    network = keras_resnet18(tensorflow.keras, job.size)
    network.trainable = next(job.network.parameters()).requires_grad
    aim = library.Objective.channel(network, LAYER.replace(".", "_"), [CHANNEL] * job.pictures)
    changes: dict[str, Any] = {"transformations": None} if job.bare else {}
    library.optimize(aim, Noting(0.05), job.steps, custom_shape=(job.size, job.size), **changes)


def keras_resnet18(keras: Any, size: int) -> Any:
    """torchvision's resnet18 layer by layer, with random weights; convolutions keep its names, with _ for a dot."""
    layers = keras.layers

    def convolved(value: Any, name: str, width: int, kernel: int, stride: int) -> Any:
        value = layers.ZeroPadding2D(kernel // 2)(value)
        return layers.Conv2D(width, kernel, stride, use_bias=False, name=name)(value)

    def normalised(value: Any) -> Any:
        return layers.BatchNormalization(epsilon=1e-5)(value)

    image = keras.Input((size, size, 3))
    value = layers.ReLU()(normalised(convolved(image, "conv1", 64, 7, 2)))
    value = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(value))  # zeros do not matter after a ReLU
    for stage, width in enumerate((64, 128, 256, 512), 1):
        for block in (0, 1):
            stride, name = (2 if stage > 1 and block == 0 else 1), f"layer{stage}_{block}"
            inner = layers.ReLU()(normalised(convolved(value, f"{name}_conv1", width, 3, stride)))
            inner = normalised(convolved(inner, f"{name}_conv2", width, 3, 1))
            past = normalised(convolved(value, f"{name}_downsample_0", width, 1, stride)) if stride > 1 else value
            value = layers.ReLU()(layers.Add()([inner, past]))
    return keras.Model(image, layers.Dense(1000)(layers.GlobalAveragePooling2D()(value)))


@dataclass(frozen=True)
class Library:
    """A library: its module, the function that runs a Job, the augmentations as shipped and bare. serial: pictures are made one
    after the other. like: ours of OURS that do the same work as shipped, with as many views; bare that is PLAIN."""

    module: str
    run: Callable[[Job], None]
    augmentations: tuple[str, str]
    serial: bool = False
    like: str = PLAIN


_TURNED, _CROPPED = "pad, jitter, scale 0.9 to 1.1, rotation", "6 crops of about a quarter, noise"
_BOXES = ("6 crops of a fifth to a third, noise", "2 crops, noise")
LIBRARIES = {
    OURS[0]: Library("ppgn", ours, ("none", "none")),
    OURS[1]: Library("ppgn", ours_folded, ("none", "none")),
    OURS[2]: Library("ppgn", ours_quick, ("none", "none")),
    LUCID: Library("ppgn", functools.partial(ours_recipe, recipe="lucid"), (_TURNED, _TURNED), like=LUCID),
    MACO: Library("ppgn", functools.partial(ours_recipe, recipe="maco"), (_CROPPED, _CROPPED), like=MACO),
    "torch-lucent": Library("lucent.optvis.render", lucent, ("pad, 2 jitters, scale 0.9 to 1.1, rotation", "none"), like=LUCID),
    "torch-dreams": Library("torch_dreams", torch_dreams, ("rotation, resize 0.5 to 1.2 a side", "none"), like=LUCID),
    "horama": Library("horama", functools.partial(horama, method="fourier"), _BOXES, serial=True, like=MACO),
    "horama, maco": Library("horama", functools.partial(horama, method="maco"), _BOXES, serial=True, like=MACO),
    "xplique": Library("xplique.features_visualizations", xplique, ("pad, 7 jitters, scale, blur, flip", "none"), like=LUCID),
}
