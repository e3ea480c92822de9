"""Captions and texts as what chains are asked for: the command line, the pass shared with the encoder, the released example."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import CLASS_NAMES, PAPERS, RECIPE, tiny_parts
from test_captioner import tiny_captioner
from tiny_text_models import clip, git, tokenizer

import ppgn
from ppgn import cli, images, loaders, recipes, requests, sampling
from ppgn.bundle import Bundle, load_bundle, save_bundle
from ppgn.conditions import Caption, ClassLogProb
from ppgn.types import CodeSpace, ImageSpec


def with_captioner(folder: Path, **changes: Any) -> Bundle:
    """The tiny bundle at `folder` with a captioner that has the trunk of its encoder, unless `changes` say otherwise."""
    encoder: Any = tiny_parts()["encoder"]
    captioner = tiny_captioner(**{"widths": (8, 8), "depths": (), "map_channels": 8, **changes})
    if not changes:
        captioner.trunk.load_state_dict(encoder.trunk.state_dict())
    save_bundle(
        folder,
        name=folder.name,
        parts={**tiny_parts(), "captioner": captioner},
        code=CodeSpace((12,), mean=0.5, std=1.0, low=0.0, high=30.0, relu=True),
        image=ImageSpec(8, 8, channels=1),
        classes=CLASS_NAMES,
        recipes={"class": RECIPE, "caption": {**RECIPE, "steps": 3}, "plugged": {**RECIPE, "steps": 2}},
        papers={"class": PAPERS},
    )
    return load_bundle(folder)


@pytest.fixture
def bundle(folder: Path) -> Bundle:
    return with_captioner(folder / "bundles" / "tiny")


def told(folder: Path, *arguments: str) -> dict[str, Any]:
    """samples.json of `ppgn sample tiny ARGUMENTS`, one picture each."""
    assert cli.main(["sample", "tiny", "--count", "1", *arguments, "--save-images", "each", "--overwrite"]) == 0
    return json.loads((folder / "each" / "samples.json").read_text())


def test_captions_are_sampled_as_from_python_by_the_settings_for_captions(folder: Path, bundle: Bundle) -> None:
    found = told(folder, "--caption", "a red handbag", "blue shoe", "--seed", "5")
    wanted = sampling.sample(bundle, Caption(bundle.parts["captioner"], ["a red handbag", "blue shoe"]), count=2, seed=[5, 5])
    assert [row["caption"] for row in found["samples"]] == ["a red handbag", "blue shoe"]
    assert [row["log_probability"] for row in found["samples"]] == pytest.approx(wanted.log_prob.tolist(), rel=1e-5)
    assert found["recipe"]["steps"] == wanted.recipe.steps == 3
    assert found["condition"] == {"kind": "caption", "captioner": "bundle"}


def test_a_caption_beside_a_class_runs_by_the_settings_for_plugged_conditions(bundle: Bundle) -> None:
    caption = Caption(bundle.parts["captioner"], "a red handbag")
    asked = {wanted: requests.of(bundle, wanted) for wanted in (caption, "tench", 1)}
    caption_alone, both_kinds, two_classes = ([caption], [caption, "tench"], ["tench", 1])
    kinds = [requests.weighted([asked[one] for one in wanted]).kind for wanted in (caption_alone, both_kinds, two_classes)]
    assert kinds == ["caption", "plugged", "class"]
    both = ppgn.conditions.And(caption, ClassLogProb(lambda image: image.flatten(1), 3))
    assert sampling.sample(bundle, both, count=1).recipe.steps == 2
    assert sampling.sample(bundle, requests.weighted([asked[caption], asked["tench"]])).recipe.steps == 2


def test_the_trunk_that_a_captioner_has_in_common_with_the_encoder_runs_once_a_step(bundle: Bundle) -> None:
    passes = []
    for network in (bundle.encoder, bundle.parts["captioner"]):
        network.trunk[0].register_forward_pre_hook(lambda *_: passes.append(1))
    caption = Caption(bundle.parts["captioner"], "a red handbag")
    shared = sampling.sample(bundle, caption, count=2, steps=4)
    assert len(passes) == 4
    alone = sampling.sample(bundle, lambda image: caption(image), count=2, recipe=shared.recipe)
    assert len(passes) == 4 + 8
    torch.testing.assert_close(shared.codes, alone.codes, rtol=1e-4, atol=1e-5)


def test_a_captioner_with_another_trunk_shares_nothing(tmp_path: Path, bundle: Bundle) -> None:
    other = with_captioner(tmp_path / "other", widths=(4, 6), map_channels=6)
    assert not requests.captions(other, "red").shares
    assert requests.captions(bundle, "red").shares
    assert not requests.captions(bundle, "red", other.parts["captioner"]).shares
    same = with_captioner(tmp_path / "same", dropout=0.1)  # the same shape, but weights of its own
    assert not requests.captions(same, "red").shares


def test_a_second_captioner_has_half_a_say(tmp_path: Path, bundle: Bundle) -> None:
    second = tiny_captioner(widths=(4, 6), depths=(), map_channels=6, hidden=9)
    both = replace(bundle, parts={**bundle.parts, "second_captioner": second})
    image = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    caption = Caption(bundle.parts["captioner"], ["a red handbag", "blue shoe"], per_word=True)
    request = requests.of(both, caption)
    setup = recipes.prepare(both, recipes.recipe_for(both, "caption"), request)
    said = recipes.objective(setup, request).terms[0].condition(image)
    other = Caption(second, ["a red handbag", "blue shoe"], per_word=True)
    torch.testing.assert_close(said, (caption(image) + other(image)) / 2)


def test_the_caption_example_has_three_chains_a_truncated_gradient_and_the_released_constants(bundle: Bundle) -> None:
    example = sampling.examples.example_5(bundle, "a red handbag")
    sampler: Any = example.stages[0][0]
    objective: Any = example.stages[0][1]
    assert (example.steps_each, example.state.seeds, sampler.prior_scale, sampler.noise_scale) == (200, (0, 1, 2), 1e-3, 1e-17)
    assert (sampler.step_size(0), sampler.step_size(200)) == (1.0, pytest.approx(1e-10))
    assert objective.terms[0].condition.truncated


def test_a_chain_walks_through_captions(folder: Path, bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    long = "a red handbag for women red handbag"  # of more lines below its tile than the other
    assert cli.main(["chain", "tiny", "--caption", "red shoe", long, "--steps", "2", "--out", "walk.gif"]) == 0
    assert f"red shoe, {long}, 2 steps each" in capsys.readouterr().out


def test_another_captioner_and_a_text_similarity_are_asked_by_name(folder: Path, bundle: Bundle) -> None:
    for name, (model, processor) in {"git": git(), "clip": clip()}.items():
        for part in (model, processor, tokenizer()):
            part.save_pretrained(folder / name)
    found = told(folder, "--caption", "a red handbag", "--captioner", f"hf:{folder / 'git'}")
    assert found["condition"]["captioner"].endswith("git")
    assert found["recipe"]["steps"] == 2
    texts = ("--text", "a red handbag", "green", "--against", "women", "--similarity", f"hf:{folder / 'clip'}")
    found = told(folder, *texts)
    assert [row["text"] for row in found["samples"]] == ["a red handbag", "green"]
    assert all(row["log_probability"] < 0 for row in found["samples"])


@pytest.mark.parametrize("count", ["2", "3"])
def test_every_chain_that_is_asked_for_a_text_gets_it_whatever_the_count_and_the_batch(
    folder: Path, bundle: Bundle, count: str
) -> None:
    model, processor = clip()
    for part in (model, processor, tokenizer()):
        part.save_pretrained(folder / "clip")
    name = f"hf:{folder / 'clip'}"
    asked = ["a red handbag", "green"]
    texts = ("--text", *asked, "--against", "women", "--similarity", name)
    found = told(folder, *texts, "--count", count, "--batch", "3")["samples"]
    assert [row["text"] for row in found] == [text for text in asked for _ in range(int(count))]
    shown = {row["file"]: images.load_image(folder / "each" / row["file"], channels=1) for row in found}
    alone = told(folder, *texts, "--count", "1")["samples"]
    for number, text in enumerate(asked):
        chains = [row for row in found if row["text"] == text]
        assert [row["seed"] for row in chains] == list(range(int(count)))
        assert chains[0]["log_probability"] == pytest.approx(alone[number]["log_probability"], rel=1e-3)
        pictures = torch.stack([shown[row["file"]] for row in chains])
        said = torch.tensor([row["log_probability"] for row in chains])
        for other in asked:
            against = [one for one in (*asked, "women") if one != other]
            fits = (loaders.similarity(name, other, against)(pictures) - said).abs() < 0.02
            assert bool((fits == (other == text)).all())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--caption", "a red hendbag"], "unknown word hendbag, expected .* handbag"),
        (["--caption", "red", "blue", "--class", "0", "1", "2"], "got 3 class targets and 2 caption targets"),
        (["--captioner", "hf:x"], "got --captioner without --caption"),
        (["--text", "a bag"], "got --text without --similarity"),
        (["--similarity", "hf:x"], "got --similarity without --text"),
        (["--against", "a bag"], "got --against without --text"),
        (["--caption", "red", "--network", "torchvision:resnet18"], "got --network with words"),
        (["--caption", "red", "--captioner", "hf:nowhere/nothing"], "run `hf download nowhere/nothing`"),
    ],
)
def test_a_mistake_with_words_is_one_sentence_and_status_2(
    bundle: Bundle, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert cli.main(["sample", "tiny", *arguments]) == 2
    assert re.search(said, capsys.readouterr().err)


def test_a_bundle_without_a_captioner_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sample", "tiny", "--caption", "a red handbag"]) == 2
    assert "bundle tiny has no captioner: use another bundle" in capsys.readouterr().err


def test_the_python_of_the_documentation_runs_on_the_shipped_bundle(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[1]
    monkeypatch.setenv("PPGN_CHECKPOINTS", str(root / "checkpoints"))
    blocks = re.findall(r"```python\n(.*?)```", (root / "docs" / "captions.md").read_text(), re.DOTALL)
    assert len(blocks) == 1
    exec(compile(blocks[0], "captions.md", "exec"), {})
    assert (folder / "bag.png").is_file() and (folder / "other.png").is_file()
