"""LRCN's captioner from Caffe's files: its numbers, its truncated gradient, its words, and the fifth released example."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from caffe_files import write_caffemodel, write_prototxt
from caffe_pairs import CLASSES, random_weights, write_pair
from caffe_topologies import lrcn
from torch import Tensor
from torch.nn import functional

from ppgn import cli, importers, load, sampling
from ppgn.caffe import read_definition
from ppgn.conditions import Caption

WORDS = ["a", "red", "church", "with", "two", "clocks", "it"]
WIDTH = 1000 // CLASSES  # the words get the scores of all classes
CAPTIONS = ["a_red_church", "two clocks with a red church"]


def write_captioner(folder: Path, factored: bool = True, width: int = WIDTH) -> list[str]:
    """LRCN's definition over words, one file of weights for it and for CaffeNet, and its vocabulary."""
    text = lrcn(width, len(WORDS) + 1, factored=factored)
    definition = write_prototxt(folder / "lrcn.prototxt", text)
    both = [read_definition(file) for file in (folder / "caffenet.prototxt", definition)]
    layers = {name: entry for one in both for name, entry in random_weights(one).items()}
    for _, arrays in layers.values():  # others than the encoder's own
        arrays[0] = np.flip(arrays[0], 0).copy()
    weights = write_caffemodel(folder / "lrcn.caffemodel", layers)
    (folder / "vocabulary.txt").write_text("\n".join(WORDS) + "\n")
    return ["--captioner", str(definition), str(weights), "--vocabulary", str(folder / "vocabulary.txt")]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("captioner")
    generator, encoder = write_pair(folder)
    return ["import-caffe", "--generator", *generator, "--encoder", *encoder, *write_captioner(folder)]


@pytest.fixture(scope="module")
def bundle(command: list[str], tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("bundles") / "original"
    assert cli.main([*command, "--out", str(out)]) == 0
    return load(out)


def picture() -> Tensor:
    return torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(0))


def padded(rows: list[list[int]]) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [-1] * (longest - len(row)) for row in rows])


def test_words_are_numbered_from_1_and_end_with_0(bundle: Any) -> None:
    assert bundle.parts["captioner"].words_of("A red_church") == [1, 2, 3, 0]


@pytest.mark.parametrize(("text", "said"), [("a red chuch", "the unknown chuch, .* such as church"), (" ", "has no word")])
def test_a_strange_word_is_named_with_the_nearest(text: str, said: str, bundle: Any) -> None:
    with pytest.raises(ValueError, match=said):
        bundle.parts["captioner"].words_of(text)


@pytest.mark.parametrize("truncated", [False, True])
def test_log_probabilities_are_those_of_the_network_itself(truncated: bool, bundle: Any) -> None:
    """Against one pass of the definition over each caption alone, the picture's scores by its own classifier."""
    captioner = bundle.parts["captioner"]
    found = Caption(captioner, CAPTIONS, truncated=truncated)(picture())
    for place, text in enumerate(CAPTIONS):
        words = captioner.words_of(text)
        vector = captioner.picture(bundle.encoder.prepare(picture()))[[place]]
        before = torch.tensor([[0], *([word] for word in words[:-1])])
        inputs = {"input_sentence": before, "cont_sentence": (torch.arange(len(words)) > 0)[:, None], "image_features": vector}
        log_probs = captioner.words(inputs)[:, 0].log_softmax(1)
        expected = sum(float(log_probs[step, word]) for step, word in enumerate(words))
        assert float(found[place]) == pytest.approx(expected, abs=1e-4)


def gradients_by_steps(captioner: Any, vector: Tensor, words: list[int]) -> Tensor:
    """d/d vector of the sum of log p(word), each word's LSTMs beginning at states that count as constants, as released.

    The released script runs one word at a time and adds up the gradients (facts of the released systems, section 2).
    """
    layers, states, total = captioner.words.layers, [None, None], torch.zeros_like(vector)
    for step, word in enumerate(words):
        leaf = vector.clone().requires_grad_()
        value = layers["embedding"].weight[words[step - 1] if step else 0][None]
        for place, (layer, static) in enumerate(((layers["lstm1"], None), (layers["lstm2"], leaf))):
            gates = functional.linear(value, layer.w_xc, layer.b_c)
            gates = gates if static is None else gates + functional.linear(static, layer.w_xc_static)
            hidden, cell = states[place] or (torch.zeros(1, layer.outputs), torch.zeros(1, layer.outputs))
            enter, forget, leave, new = (gates + functional.linear(hidden, layer.w_hc)).chunk(4, -1)
            cell = forget.sigmoid() * cell + enter.sigmoid() * new.tanh()
            value = leave.sigmoid() * cell.tanh()
            states[place] = (value.detach(), cell.detach())
        log_prob = layers["predict"](value[None]).log_softmax(-1)[0, 0, word]
        total += torch.autograd.grad(log_prob, leaf)[0]
    return total


def test_the_truncated_gradient_is_the_released_one(bundle: Any) -> None:
    captioner = bundle.parts["captioner"]
    words = captioner.words_of(CAPTIONS[1])
    vector = 0.3 * torch.randn(1, CLASSES, generator=torch.Generator().manual_seed(0))  # gates that are not saturated
    leaf = vector.clone().requires_grad_()
    found = torch.autograd.grad(captioner.word_log_probs(leaf, padded([words]), truncated=True).sum(), leaf)[0]
    torch.testing.assert_close(found, gradients_by_steps(captioner, vector, words))
    whole = torch.autograd.grad(captioner.word_log_probs(leaf, padded([words])).sum(), leaf)[0]
    assert float((found - whole).abs().max()) > 0.1 * float(whole.abs().max())


def test_what_needs_no_image_is_computed_once_and_changes_nothing(bundle: Any) -> None:
    captioner, words = bundle.parts["captioner"], padded([bundle.parts["captioner"].words_of(text) for text in CAPTIONS])
    known, vector = captioner.word_inputs(words), captioner.image_vector(picture())
    assert {"embedded_input_sentence", "lstm1"} <= set(known) and "lstm2" not in known
    given = captioner.word_log_probs(vector, words, word_inputs=known)
    assert torch.equal(given, captioner.word_log_probs(vector, words))
    assert (given[0, 4:] == 0).all()  # behind the shorter one's end mark


def test_the_two_layer_wiring_runs_too(command: list[str], tmp_path: Path) -> None:
    for name in ("caffenet.prototxt", "caffenet.caffemodel"):
        (tmp_path / name).symlink_to(Path(command[5]).parent / name)
    given = write_captioner(tmp_path, factored=False)
    encoder = importers.read_encoder(importers.Files(*command[5:7]), 256)
    captioner = importers.read_captioner(importers.Files(*given[1:3]), given[4], encoder)
    assert "lstm1" not in captioner.word_inputs(torch.tensor([[1, 2, 0]]))
    assert float(Caption(captioner, "a red church")(picture())[0].detach()) < 0


def test_the_fifth_released_example_runs(bundle: Any, tmp_path: Path) -> None:
    out = tmp_path / "made.png"
    assert (
        cli.main(["example", "5", "--caption", CAPTIONS[0], "--bundle", str(bundle.folder), "--steps", "2", "--out", str(out)])
        == 0
    )
    assert out.is_file()


def test_a_caption_is_sampled_as_with_any_bundle(bundle: Any, tmp_path: Path) -> None:
    condition = Caption(bundle.parts["captioner"], CAPTIONS)
    samples = sampling.sample(bundle, condition, count=2, steps=3)
    assert samples.images.isfinite().all()
    assert (samples.log_prob < 0).all()


def test_a_bundle_without_captioner_says_so(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*command[:7], "--out", str(tmp_path / "plain")]) == 0
    assert cli.main(["example", "5", "--caption", "a church", "--bundle", str(tmp_path / "plain")]) == 2
    assert "has no captioner" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda given: given[:10], "expected both or none"),
        (lambda given: [*given[:8], given[5], *given[9:]], "no layer makes a blob 'predict'"),
        (lambda given: [*given[:9], given[6], *given[10:]], "caffenet.caffemodel: layer 'embedding' got no blobs"),
    ],
)
def test_a_mistake_is_one_sentence(
    change: Any, said: str, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*change(command), "--out", str(tmp_path / "wrong")]) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "wrong").exists()


def test_a_vocabulary_of_another_captioner_is_refused(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "short.txt").write_text("a\nred\n")
    assert cli.main([*command[:11], str(tmp_path / "short.txt"), "--out", str(tmp_path / "wrong")]) == 2
    assert "the captioner knows 8 words, the end mark included, and the vocabulary has 2" in capsys.readouterr().err
