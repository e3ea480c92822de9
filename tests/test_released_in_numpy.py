"""The released PPGN and DGN-AM loops, written out in NumPy with hand-derived gradients, against the library at every step.

Nothing is shared with the library but the random numbers (`ppgn.seeds`). One chain, one code `[8]`, one image `[3, 9, 9]`.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any, TypeAlias, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ppgn import recipes, requests, sampling
from ppgn.bundle import Bundle
from ppgn.samplers import Linear, ReleasedLangevin
from ppgn.sampling import examples
from ppgn.seeds import Stream, normal, uniform
from ppgn.types import CodeSpace, Evaluation, ImageSpec

Array: TypeAlias = np.ndarray
Chain: TypeAlias = tuple[list[Array], list[Array]]
"""The codes and the images before each update, and at the end the code after the last."""
UNITS, MAPS, CLASSES, EDGE, CROP = 8, 4, 5, 1, 7
INSIDE = (slice(None), slice(EDGE, EDGE + CROP), slice(EDGE, EDGE + CROP))
STEPS, CLASS, SEEDS = 50, 2, (11, 12, 13)
CHANNEL, UNIT = 0, "conv:0@centre"
# Numbers that float32 holds exactly, because a bundle's statistics are float32.
UNIT_MEAN, UNIT_STD = np.linspace(0.25, 2.0, UNITS), np.linspace(0.5, 4.0, UNITS)
UNIT_HIGH = UNIT_MEAN + 3 * UNIT_STD
ALONE_AND_TOGETHER = (slice(0, 1), slice(1, 2), slice(2, 3), slice(0, 3))

_random = np.random.default_rng(1056)
G_WEIGHT, G_BIAS = 0.05 * _random.standard_normal((3 * 9 * 9, UNITS)), 0.3 * _random.standard_normal(3 * 9 * 9)
K_WEIGHT, K_BIAS = 1.0 * _random.standard_normal((MAPS, 3, 3, 3)), 0.1 * _random.standard_normal(MAPS)
V_WEIGHT, V_BIAS = 0.2 * _random.standard_normal((UNITS, MAPS * CROP**2)), 0.5 * _random.standard_normal(UNITS)
U_WEIGHT, U_BIAS = 0.1 * _random.standard_normal((CLASSES, UNITS)), 0.2 * _random.standard_normal(CLASSES)
PICTURE = _random.random((3, 9, 9))
KNOWN = np.ones((1, 9, 9))
KNOWN[:, 2:6, 3:8] = 0


def generate(code: Array) -> Array:
    return (0.5 + 0.5 * np.tanh(G_WEIGHT @ code + G_BIAS)).reshape(3, 9, 9)


def generate_back(image: Array, gradient: Array) -> Array:
    """(dG/dh)^T gradient; d(0.5 + 0.5 tanh a)/da = 0.5 (1 - tanh(a)^2) = 2 x (1 - x)."""
    return G_WEIGHT.T @ (gradient * 2 * image * (1 - image)).ravel()


def hidden(image: Array) -> Array:
    """The hidden layer before its ReLU, `[4, 7, 7]`, of the centre crop: 3x3, zeros around."""
    padded = np.pad(image[INSIDE], ((0, 0), (1, 1), (1, 1)))
    maps = np.repeat(K_BIAS, CROP**2).reshape(MAPS, CROP, CROP)
    for y, x in np.ndindex(3, 3):
        maps = maps + np.einsum("oc,cyx->oyx", K_WEIGHT[:, :, y, x], padded[:, y : y + CROP, x : x + CROP])
    return maps


def hidden_back(gradient: Array) -> Array:
    """From the hidden layer to the image, the crop's gradient zero-padded back to the image's size."""
    padded = np.zeros((3, CROP + 2, CROP + 2))
    for y, x in np.ndindex(3, 3):
        padded[:, y : y + CROP, x : x + CROP] += np.einsum("oc,oyx->cyx", K_WEIGHT[:, :, y, x], gradient)
    return np.pad(padded[:, 1:-1, 1:-1], ((0, 0), (EDGE, EDGE), (EDGE, EDGE)))


def encode(image: Array) -> Array:
    return np.maximum(V_WEIGHT @ np.maximum(hidden(image), 0).ravel() + V_BIAS, 0)


def softmax(scores: Array) -> Array:
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


def logit_gradient(image: Array, target: int) -> Array:
    flat = V_WEIGHT.T @ (U_WEIGHT[target] * (encode(image) > 0))
    return hidden_back(flat.reshape(MAPS, CROP, CROP) * (hidden(image) > 0))


def class_gradient(image: Array, target: int) -> Array:
    """As released: only the target's own entry gets 1 - p."""
    return (1 - softmax(U_WEIGHT @ encode(image) + U_BIAS)[target]) * logit_gradient(image, target)


def unit_probability(image: Array) -> float:
    return float(softmax(hidden(image)[:, CROP // 2, CROP // 2])[CHANNEL])


def unit_gradient(image: Array) -> Array:
    gradient = np.zeros((MAPS, CROP, CROP))
    gradient[CHANNEL, CROP // 2, CROP // 2] = 1 - unit_probability(image)
    return hidden_back(gradient)


def unit_mean(direction: Array) -> Array:
    return direction / np.mean(np.abs(direction))


def drawn(seed: int, step: int, stream: int) -> Array:
    return normal([seed], step, (UNITS,), stream=stream, dtype=torch.float64)[0].numpy()


def class_chain(seed: int, targets: tuple[int, ...], each: int, end: float = 1.0, e1: float = 1e-5, e3: float = 1e-17) -> Chain:
    code, codes, images = drawn(seed, 0, Stream.START), [], []
    for i in range(each * len(targets) + 1):
        image = generate(code)
        codes, images = [*codes, code], [*images, image]
        condition = generate_back(image, class_gradient(image, targets[max(i - 1, 0) // each]))
        d = e1 * (encode(image) - code) + 1.0 * condition + e3 * drawn(seed, i, Stream.NOISE)
        code = np.clip(code + (1.0 + (end - 1.0) * i / each) * unit_mean(d), 0, 30)
    return codes + [code], images


def unit_chain(seed: int, every: int) -> Chain:
    code, e1, codes, images = drawn(seed, 0, Stream.START), 1e-5, [], []
    for i in range(STEPS + 1):
        image = generate(code)
        codes, images = [*codes, code], [*images, image]
        d = e1 * (encode(image) - code) + generate_back(image, unit_gradient(image)) + 1e-17 * drawn(seed, i, Stream.NOISE)
        code = np.clip(code + 1.0 * unit_mean(d), 0, 30)
        if i > 0 and i % every == 0:
            code = drawn(seed, i, Stream.RESET_CODE)
            e1 = 1e-6 + (1e-2 - 1e-6) * float(uniform([seed], i, (), stream=Stream.RESET_PRIOR_SCALE, dtype=torch.float64)[0])
    return codes + [code], images


def in_painting_chain(fill: Array, e4: float) -> Chain:
    code, codes, images = encode(KNOWN * PICTURE + (1 - KNOWN) * fill), [], []
    for i in range(STEPS + 1):
        image = generate(code)
        codes, images = [*codes, code], [*images, image]
        seen = KNOWN * PICTURE + (1 - KNOWN) * image
        condition = generate_back(image, class_gradient(seen, CLASS) * (1 - KNOWN))
        # The released pixels count 0..255: the difference is 255 times ours, and so is the Jacobian of the generator.
        context = 255 * generate_back(image, 255 * (PICTURE - image) * KNOWN)
        d = 1e-5 * (encode(seen) - code) + 1.0 * condition + e4 * context
        code = np.clip(code + (1.0 + (1e-32 - 1.0) * i / STEPS) * unit_mean(d), 0, 30)
    return codes + [code], images


def dgn_am_chain(seed: int) -> Chain:
    code, codes, images = drawn(seed, 0, Stream.START), [], []
    for i in range(STEPS):
        image = generate(code)
        codes, images = [*codes, code], [*images, image]
        gradient = generate_back(image, unit_mean(logit_gradient(image, CLASS)))
        code = code + (8.0 + (1e-10 - 8.0) * i / STEPS) * unit_mean(gradient)
        code = 0.99 * np.clip(code, 0, UNIT_HIGH)
    return codes, images


def filled(layer: Any, weight: Array, bias: Array) -> Any:
    layer.double().load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
    return layer


class TorchGenerator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = filled(nn.Linear(UNITS, 3 * 9 * 9), G_WEIGHT, G_BIAS)

    def forward(self, code: Tensor) -> Tensor:
        return (0.5 + 0.5 * torch.tanh(self.linear(code))).reshape(-1, 3, 9, 9)


class TorchEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = filled(nn.Conv2d(3, MAPS, 3, padding=1), K_WEIGHT, K_BIAS)
        self.relu = nn.ReLU(inplace=True)
        self.fc6 = filled(nn.Linear(MAPS * CROP**2, UNITS), V_WEIGHT, V_BIAS)
        self.fc8 = filled(nn.Linear(UNITS, CLASSES), U_WEIGHT, U_BIAS)

    def forward(self, image: Tensor) -> Tensor:
        return torch.relu(self.fc6(self.relu(self.conv(image[(slice(None), *INSIDE)])).flatten(1)))

    def logits_from_code(self, code: Tensor) -> Tensor:
        return self.fc8(code)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    parts = {"encoder": TorchEncoder().eval().requires_grad_(False), "generator": TorchGenerator().eval().requires_grad_(False)}
    mean, std, high = (torch.tensor(values, dtype=torch.float32) for values in (UNIT_MEAN, UNIT_STD, UNIT_HIGH))
    space = CodeSpace((UNITS,), low=0.0, high=high, mean=mean, std=std, relu=True)
    return Bundle("tiny", parts, space, ImageSpec(9, 9), ("ant", "bee", "cat", "dog", "elk"))


def in_double(example: examples.Example, **changes: Any) -> examples.Example:
    """The example from the same start, undone of its rounding to float32, with other settings of its samplers."""
    code = torch.from_numpy(np.stack([drawn(seed, 0, Stream.START) for seed in example.state.seeds]))
    assert torch.equal(example.state.code, code.float()) and bool((code < 0).any())
    stages = tuple((replace(cast(ReleasedLangevin, sampler), **changes), objective) for sampler, objective in example.stages)
    return replace(example, stages=stages, state=replace(example.state, code=code))


def steps_of(example: examples.Example) -> Chain:
    """All codes `[chain, 8]` and images `[chain, 3, 9, 9]` of the library; each step must begin where the last one ended."""
    pairs = list(example.run())
    assert all(torch.equal(one[0].code, two[1].code) for one, two in pairwise(pairs))
    codes, images = before([evaluation for _, evaluation in pairs])
    return codes + [pairs[-1][0].code.numpy()], images


def before(seen: list[Evaluation]) -> Chain:
    return [one.code.numpy() for one in seen], [one.image.numpy() for one in seen]


def assert_same(got: list[Array], wanted: list[Array]) -> None:
    assert len(got) == len(wanted)
    for step, (one, two) in enumerate(zip(got, wanted, strict=True)):
        assert one.dtype == np.float64 and one.shape == two.shape
        error = np.abs(one - two).max() / max(np.abs(two).max(), 1e-9)
        assert error < 1e-9, f"step {step}: relative error {error:.2e}\n{one}\n{two}"


def assert_chains(got: Chain, wanted: list[Chain]) -> None:
    """Each chain of the library's batch is one NumPy chain, codes and images, at every step."""
    for which in (0, 1):
        assert_same(got[which], [np.stack(chains) for chains in zip(*(one[which] for one in wanted), strict=True)])


def test_a_chain_of_one_class_follows_the_released_loop(bundle: Bundle) -> None:
    example = in_double(examples.example_1(bundle, CLASS, seeds=SEEDS[:1], steps=STEPS))
    wanted = class_chain(SEEDS[0], (CLASS,), STEPS)
    assert {0.0, 30.0} <= set(np.ravel(wanted[0][1:]))
    assert_chains(steps_of(example), [wanted])
    assert_same([sample.image.numpy() for sample in example.kept()], wanted[1][::5])


def test_three_classes_share_a_chain_and_a_step_count_that_is_never_reset(bundle: Bundle) -> None:
    example = examples.example_2(bundle, (2, 0, 4), seeds=SEEDS[:1], steps=17)
    assert_chains(steps_of(in_double(example)), [class_chain(SEEDS[0], (2, 0, 4), 17)])
    abstract = examples.example_2(bundle, (2, 0, 4), seeds=SEEDS[:1], steps=17, prior_scale=1e-3)
    shrinking = in_double(abstract, step_size=lambda i: 1.0 + (0.7 - 1.0) * i / 17)
    assert_chains(steps_of(shrinking), [class_chain(SEEDS[0], (2, 0, 4), 17, end=0.7, e1=1e-3)])


def test_the_step_size_is_the_released_one_in_the_first_class_and_then_stays_at_its_end(bundle: Bundle) -> None:
    """Released, it goes on past its end, below 0 in the end; no released example changes both class and step size."""
    example = in_double(examples.example_2(bundle, (2, 0, 4), seeds=SEEDS[:1], steps=17), step_size=Linear(1.0, 0.7, 17))
    codes, wanted = steps_of(example)[0], class_chain(SEEDS[0], (2, 0, 4), 17, end=0.7)[0]
    assert_same([one[0] for one in codes[:19]], wanted[:19])
    assert np.abs(codes[19][0] - wanted[19]).max() > 1e-4


def test_a_hidden_unit_with_resets_follows_the_released_loop(bundle: Bundle) -> None:
    example = in_double(examples.example_3(bundle, UNIT, seeds=SEEDS[:1], steps=STEPS), reset_every=10)
    wanted = unit_chain(SEEDS[0], 10)
    assert_chains(steps_of(example), [wanted])
    kept = [image for image in wanted[1] if unit_probability(image) > 0.98]
    assert 0 < len(kept) < len(wanted[1])
    assert_same([sample.image.numpy() for sample in example.kept()], kept)


def test_in_painting_follows_the_released_loop(bundle: Bundle) -> None:
    mean = (PICTURE * KNOWN).sum((1, 2), keepdims=True) / KNOWN.sum()
    example = examples.example_7(bundle, CLASS, torch.tensor(PICTURE), torch.tensor(KNOWN), seeds=SEEDS[:1], steps=STEPS)
    assert_chains(steps_of(example), [in_painting_chain(mean, 1e-9)])


@pytest.mark.parametrize("context_scale", [0.0, 1e-9, 1e-6, 1e-4])
def test_in_painting_weighs_the_known_pixels_as_released(bundle: Bundle, context_scale: float) -> None:
    seen: list[Evaluation] = []
    changes: dict[str, Any] = {"noise_scale": 0.0, "steps": STEPS, "step_size": (1.0, 1e-32), "context_scale": context_scale}
    changes |= {"recipe": "noiseless_joint_ppgn_h_released", "fill": 0.5, "watch": lambda _, one: seen.append(one)}
    result = sampling.in_paint(bundle, torch.tensor(PICTURE), torch.tensor(KNOWN), CLASS, count=1, **changes)
    codes, images = in_painting_chain(np.full((3, 1, 1), 0.5), context_scale)
    assert_chains(before(seen), [(codes[:STEPS], images[:STEPS])])
    assert_same([result.images.numpy()[0]], [KNOWN * PICTURE + (1 - KNOWN) * images[STEPS - 1]])


@pytest.mark.parametrize("chains", ALONE_AND_TOGETHER)
def test_dgn_am_chains_are_released_loops_each(bundle: Bundle, chains: slice) -> None:
    start = torch.from_numpy(np.stack([drawn(seed, 0, Stream.START) for seed in SEEDS[chains]]))
    request = requests.classes(bundle, [CLASS] * len(start))
    setup = recipes.prepare(bundle, recipes.recipe_for(bundle, name="dgn_am_released", steps=STEPS), request)
    seen = list(sampling.evaluations(setup, recipes.objective(setup, request), SEEDS[chains], start))
    assert_chains(before(seen), [dgn_am_chain(seed) for seed in SEEDS[chains]])


@pytest.mark.parametrize("chains", ALONE_AND_TOGETHER)
def test_chains_with_noise_are_released_loops_each(bundle: Bundle, chains: slice) -> None:
    example = in_double(examples.example_1(bundle, CLASS, seeds=SEEDS[chains], steps=STEPS), noise_scale=0.01)
    assert_chains(steps_of(example), [class_chain(seed, (CLASS,), STEPS, e3=0.01) for seed in SEEDS[chains]])


@pytest.mark.parametrize("chains", ALONE_AND_TOGETHER)
def test_chains_with_resets_are_released_loops_each(bundle: Bundle, chains: slice) -> None:
    example = in_double(examples.example_3(bundle, UNIT, seeds=SEEDS[chains], steps=STEPS), reset_every=10)
    assert_chains(steps_of(example), [unit_chain(seed, 10) for seed in SEEDS[chains]])
