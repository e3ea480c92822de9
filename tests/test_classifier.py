"""New classes for old codes, merged labels, and a bundle with a second opinion."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import tiny_bundle
from test_class_groups import write_table
from test_training import SMALL, fit

from ppgn import recipes, requests
from ppgn.conditions import ClassMeasure, LogSoftmax
from training import (
    CODE_LAYERS,
    DiscriminatorConfig,
    EncoderSystem,
    GeneratorSystem,
    ImageData,
    encoder_of,
    open_source,
    read_network,
)


def test_merged_values_count_as_one_class_and_are_enough_together(tmp_path: Path) -> None:
    rows = [{"kind": kind, "hue": hue} for kind in ("Bag", "Shoe") for hue in ("Red", "Maroon", "Rust", "Blue") for _ in range(6)]
    root = write_table(tmp_path, rows)
    merge = {"colour": {"Red": ["Maroon", "Rust"]}}
    data = ImageData("table", root, image_size=8, labels={"type": "kind", "colour": "hue"}, least=10, batch_size=4, merge=merge)
    data.setup()
    assert data.class_names == ("type:Bag", "type:Shoe", "colour:Blue", "colour:Red")
    assert data.train_pictures is not None and data.validation_pictures is not None
    assert len(data.train_pictures) + len(data.validation_pictures) == len(rows)
    pictures, labels = data.train_pictures.__getitems__(list(range(len(data.train_pictures))))
    hues = [rows[int(picture[0, 0, 0])]["hue"] for picture in pictures]
    assert [data.class_names[int(label[1])] for label in labels] == [
        f"colour:{'Blue' if hue == 'Blue' else 'Red'}" for hue in hues
    ]
    with pytest.raises(ValueError, match="got classes to merge in hue, expected groups among type, colour"):
        open_source("table", root, False, columns={"type": "kind", "colour": "hue"}, merge={"hue": {}})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder: an encoder, a generator on its codes, and the encoder's codes with a head that was trained anew."""
    folder = tmp_path_factory.mktemp("run")
    fit(EncoderSystem(code_size=12, widths=(4, 8), hidden=8, reduce=4), folder / "first" / "checkpoints")
    first = folder / "first" / "checkpoints" / "last.ckpt"
    adversary = DiscriminatorConfig(widths=(8,))
    (folder / "generator" / "checkpoints").mkdir(parents=True)
    fit(GeneratorSystem(first, network=SMALL, discriminator=adversary), folder / "generator" / "checkpoints")
    fit(EncoderSystem(code_from=first, hidden=6), folder / "encoder" / "checkpoints", steps=5)
    return folder


def networks(run: Path) -> tuple[Any, Any]:
    return (read_network(run / name / "checkpoints" / "last.ckpt", "encoder") for name in ("first", "encoder"))  # type: ignore[return-value]


def test_a_new_head_keeps_the_code_to_the_bit_and_learns(run: Path) -> None:
    first, again = networks(run)
    pictures = torch.rand(3, first.config.channels, first.config.input_size, first.config.input_size)
    assert torch.equal(first(pictures), again(pictures))
    assert again.config.hidden == 6 and first.config.hidden == 8
    for name in CODE_LAYERS:
        kept = getattr(again, name).state_dict()
        assert all(torch.equal(value, kept[key]) for key, value in getattr(first, name).state_dict().items())


def test_the_bundle_gets_the_new_head_where_its_codes_are_those_of_the_generator(run: Path, tmp_path: Path) -> None:
    encoder, *_ = encoder_of(run)
    assert encoder.config.hidden == 6
    for name in ("generator", "encoder"):
        (tmp_path / name).symlink_to(run / name)
    (tmp_path / "classifier").symlink_to(run / "first")
    assert encoder_of(tmp_path)[1] == encoder_of(run)[1]
    other = tmp_path / "other"
    fit(EncoderSystem(code_size=12, widths=(4, 8), hidden=8, reduce=4), other / "encoder" / "checkpoints", steps=5)
    (other / "generator").symlink_to(run / "generator")
    with pytest.raises(ValueError, match="makes other codes than the generator was trained on"):
        encoder_of(other)


def test_a_classifier_of_the_bundle_is_a_second_opinion() -> None:
    """The mean of both log-probabilities; without it, the encoder's alone."""
    bundle = tiny_bundle()
    recipe = recipes.recipe_for(bundle, measure="log_softmax", temperature=2.0)
    image, targets = bundle.generator(torch.rand(3, 12)), [0, 2, 1]

    def alone(network: Any) -> torch.Tensor:
        return ClassMeasure(lambda seen: network.logits_from_code(network(seen)), targets, LogSoftmax(temperature=2.0))(image)

    def together() -> torch.Tensor:
        request = requests.of(bundle, targets)
        return request.condition(recipes.prepare(bundle, recipe, request).passes())(image)

    torch.testing.assert_close(together(), alone(bundle.encoder))
    other = copy.deepcopy(bundle.encoder)
    other.fc8.bias.data += torch.arange(4.0)[: len(other.fc8.bias)]
    bundle.parts["classifier"] = other
    torch.testing.assert_close(together(), (alone(bundle.encoder) + alone(other)) / 2)
    assert not torch.allclose(together(), alone(bundle.encoder))


def test_in_painting_shows_the_composite_to_both_opinions() -> None:
    bundle = tiny_bundle()
    bundle.parts["classifier"] = copy.deepcopy(bundle.encoder)
    recipe, request = recipes.recipe_for(bundle, measure="log_softmax"), requests.of(bundle, [1])
    known = torch.zeros(bundle.image.size)
    known[:, : bundle.image.width // 2] = 1
    hole = recipes.Hole(torch.rand(bundle.image.shape), known, 0.0)
    seen = {name: [] for name in ("encoder", "classifier")}
    for name, shown in seen.items():
        bundle.parts[name].register_forward_pre_hook(lambda _, inputs, shown=shown: shown.append(inputs[0].detach()))
    made = recipes.objective(recipes.prepare(bundle, recipe, request), request, hole).evaluate(torch.rand(1, 12)).image
    for (shown,) in seen.values():
        torch.testing.assert_close(shown, known * hole.picture + (1 - known) * made)
