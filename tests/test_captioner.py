"""The captioner: its LSTMs against torch's and NumPy's, its words, what it says, and its training."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Trainer, seed_everything
from test_captions_data import product_table
from test_training import QUIET

from ppgn.networks import END, MARKS, UNKNOWN, Captioner, CaptionerConfig, Lstm, ScoredCaption, beam_search, build, tokens
from training import CaptionData, CaptionerSystem, EncoderSystem, ImageData, build_captioner, read_network

WORDS = ("a", "red", "blue", "handbag", "handbags", "shoe", "for", "women")


def tiny_captioner(**changes: Any) -> Captioner:
    """Random weights, large enough that words and images matter."""
    torch.manual_seed(0)
    settings: dict[str, Any] = {
        "vocabulary": (*MARKS, *WORDS), "widths": (4, 6), "depths": ("block0",), "channels": 1, "input_size": 8,
        "reduce": 3, "vector_size": 7, "embedding": 5, "hidden": 6, **changes,
    }  # fmt: skip
    network = build_captioner(CaptionerConfig(**settings))
    for weights in network.parameters():
        torch.nn.init.normal_(weights, 0, 0.6)
    return network.eval().requires_grad_(False)


def captions_of(network: Captioner, *texts: str) -> torch.Tensor:
    rows = [torch.tensor(network.words_of(text)) for text in texts]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1)


def test_an_lstm_is_that_of_torch() -> None:
    ours, inputs = Lstm(3, 4).double(), torch.randn(2, 5, 3, dtype=torch.float64)
    theirs = torch.nn.LSTM(3, 4, batch_first=True).double()
    wanted = {
        "weight_ih_l0": ours.inputs.weight,
        "bias_ih_l0": ours.inputs.bias,
        "weight_hh_l0": ours.recurrent.weight,
        "bias_hh_l0": torch.zeros_like(ours.inputs.bias),
    }
    theirs.load_state_dict(wanted)
    torch.testing.assert_close(ours(ours.inputs(inputs)), theirs(inputs)[0], rtol=1e-12, atol=1e-12)


def in_numpy(network: Captioner, vector: np.ndarray, words: list[int]) -> list[float]:
    """log p of each word, after the description of LRCN: two LSTMs, the image a static input of the second."""
    weights = {key: value.numpy() for key, value in network.state_dict().items()}

    def cell(name: str, inputs: np.ndarray, static: np.ndarray | float, state: tuple[np.ndarray, np.ndarray]) -> Any:
        gates = weights[f"{name}.inputs.weight"] @ inputs + weights[f"{name}.inputs.bias"] + static
        one, two, three, four = np.split(gates + weights[f"{name}.recurrent.weight"] @ state[0], 4)
        memory = state[1] / (1 + np.exp(-two)) + np.tanh(three) / (1 + np.exp(-one))
        return np.tanh(memory) / (1 + np.exp(-four)), memory

    zero = np.zeros(network.config.hidden)
    first, second, before, found = (zero, zero), (zero, zero), END, []
    for word in words:
        first = cell("first", weights["embedding.weight"][before], 0.0, first)
        second = cell("second", first[0], weights["seen.weight"] @ vector, second)
        scores = weights["words.weight"] @ second[0] + weights["words.bias"]
        found.append(float(scores[word] - np.log(np.exp(scores).sum())))
        before = word
    return found


def test_the_words_log_probabilities_are_those_of_two_lstms_in_numpy_and_padding_adds_nothing() -> None:
    network = tiny_captioner().double()
    image = torch.rand(2, 1, 8, 8, dtype=torch.float64)
    words = captions_of(network, "a red handbag for women", "blue shoe")
    vector = network.image_vector(image)
    found = network.word_log_probs(vector, words)
    for row, text in enumerate(("a red handbag for women", "blue shoe")):
        wanted = in_numpy(network, vector[row].numpy(), network.words_of(text))
        np.testing.assert_allclose(found[row, : len(wanted)], wanted, rtol=1e-10)
        assert found[row, len(wanted) :].tolist() == [0.0] * (found.shape[1] - len(wanted))
    torch.testing.assert_close(network.word_log_probs(vector, words, word_inputs=network.word_inputs(words)), found)


def test_the_probabilities_of_all_captions_up_to_two_words_and_of_all_longer_beginnings_sum_to_one() -> None:
    network = tiny_captioner(vocabulary=(*MARKS, "a", "b")).double()
    vector = network.image_vector(torch.rand(1, 1, 8, 8, dtype=torch.float64))

    def probability(words: tuple[int, ...]) -> float:
        return float(network.word_log_probs(vector, torch.tensor([words])).sum().exp())

    ended = [(END,), *((one, END) for one in (1, 2, 3)), *((*two, END) for two in itertools.product((1, 2, 3), repeat=2))]
    open_ = itertools.product((1, 2, 3), repeat=3)
    assert sum(map(probability, [*ended, *open_])) == pytest.approx(1, abs=1e-12)


def test_the_vector_from_an_encoders_maps_of_the_same_trunk_is_the_images_own() -> None:
    network, image = tiny_captioner(), torch.rand(3, 1, 8, 8)
    maps = network.maps(image)
    assert [one.shape[1] for one in maps] == [4, 6] and network.config.map_channels == 10
    torch.testing.assert_close(network.from_maps(maps), network.image_vector(image))
    coarse = torch.nn.functional.avg_pool2d(maps[0], 2)
    torch.testing.assert_close(network.join(maps), torch.cat([coarse, maps[1]], 1))


def test_maps_of_pictures_that_are_not_square_keep_their_shape() -> None:
    network, image = tiny_captioner(input_size=(8, 16)), torch.rand(2, 1, 12, 20)
    assert network.config.map_size == (2, 4)
    maps = network.maps(image)
    assert [tuple(one.shape[2:]) for one in maps] == [(4, 8), (2, 4)]
    assert network.join(maps).shape == (2, 10, 2, 4) and network.image_vector(image).shape == (2, 7)
    assert len(network.beam_search(image)) == 2


def test_words_are_lower_case_without_punctuation_and_come_back_as_text() -> None:
    assert tokens("A Women's T-Shirt, (red) & 2 more_s!") == ["a", "womens", "tshirt", "red", "2", "more", "s"]
    network = tiny_captioner()
    words = network.words_of("A RED handbag, for women.")
    assert words[-1] == END and network.text_of([*words, -1, -1]) == "a red handbag for women"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "a red handbagg",
            "unknown word handbagg, expected some of the captioner's 8 words: use the nearest known words, handbag, handbags",
        ),
        ("a xyzzy", "unknown word xyzzy, expected .*: use others, such as a, red, blue"),
        (" ! ", "has no word, expected"),
        ("<unknown> red", "unknown word unknown, expected"),
    ],
)
def test_a_word_outside_the_vocabulary_is_answered_with_the_nearest(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        tiny_captioner().words_of(text)


def all_captions(network: Captioner, vector: torch.Tensor, longest: int) -> list[ScoredCaption]:
    known = [word for word in range(len(network.config.vocabulary)) if word not in (END, UNKNOWN)]
    rows = [(*words, END) for length in range(longest + 1) for words in itertools.product(known, repeat=length)]
    values = [float(network.word_log_probs(vector, torch.tensor([row])).sum()) for row in rows]
    return [ScoredCaption(network.text_of(row), value) for row, value in zip(rows, values, strict=True)]


@pytest.mark.parametrize("per_word", [False, True])
def test_a_wide_beam_finds_the_likeliest_of_all_captions(per_word: bool) -> None:
    network = tiny_captioner(vocabulary=(*MARKS, "a", "b", "c"))
    torch.manual_seed(53)
    for weights in network.parameters():
        torch.nn.init.normal_(weights, 0, 3)  # so that pictures differ, and the likeliest first word is not always the best
    image = torch.rand(6, 1, 8, 8)
    found = network.beam_search(image, beams=60, longest=3, per_word=per_word)
    for one, vector in zip(found, network.image_vector(image), strict=True):
        every = all_captions(network, vector[None], 3)
        if per_word:
            every = [ScoredCaption(text, value / (len(text.split()) + 1)) for text, value in every]
        wanted = max(every, key=lambda said: said.log_prob)
        assert one.text == wanted.text
        assert one.log_prob == pytest.approx(wanted.log_prob, abs=1e-4)
    assert len({one.text for one in found}) > 1
    if not per_word:
        assert network.beam_search(image, beams=1, longest=3) != found


def test_one_beam_takes_the_likeliest_word_each_time_and_a_picture_alone_is_described_as_in_a_batch() -> None:
    network, image = tiny_captioner(), torch.rand(3, 1, 8, 8)
    vector = network.image_vector(image)
    found = beam_search(network, vector, beams=1, longest=5)
    for one, row in zip(found, vector, strict=True):
        words: list[int] = []
        while len(words) < 5 and END not in words:
            everything = torch.tensor([[*words, word] for word in range(len(network.config.vocabulary)) if word != UNKNOWN])
            values = network.word_log_probs(row.expand(len(everything), -1), everything)[:, -1]
            words = everything[values.argmax()].tolist()
        assert one.text == network.text_of(words)
    alone = [beam_search(network, row[None], beams=3)[0] for row in vector]
    together = beam_search(network, vector, beams=3)
    assert [one.text for one in alone] == [one.text for one in together]
    np.testing.assert_allclose([one.log_prob for one in alone], [one.log_prob for one in together], rtol=1e-5)


def test_a_beam_search_without_a_beam_and_a_vocabulary_without_marks_are_refused() -> None:
    with pytest.raises(ValueError, match="got 0 beams and 16 words, expected at least 1"):
        tiny_captioner().beam_search(torch.rand(1, 1, 8, 8), beams=0)
    with pytest.raises(ValueError, match="vocabulary that begins with .*'a', 'b'.*, expected"):
        Captioner(CaptionerConfig(vocabulary=("a", "b")))
    with pytest.raises(ValueError, match="no children .*block7"):
        Captioner(CaptionerConfig(depths=("block7",)))


def test_it_is_rebuilt_from_plain_types() -> None:
    import dataclasses
    import json

    network = tiny_captioner()
    again = build("captioner", json.loads(json.dumps(dataclasses.asdict(network.config))))
    again.load_state_dict(network.state_dict())
    image = torch.rand(2, 1, 8, 8)
    assert again.eval().beam_search(image) == network.beam_search(image)  # type: ignore[operator]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CaptionData, Trainer]:
    """A captioner of two products in two colours over the random trunk of an encoder."""
    folder = tmp_path_factory.mktemp("captioner")
    data = product_table(folder)
    seed_everything(0)
    encoder = EncoderSystem(widths=(6, 8), depths=("block0",), code_size=8, hidden=8, reduce=0, mean=(0.2, 0.2, 0.2))
    trainer = Trainer(default_root_dir=folder, max_epochs=6, **QUIET)
    trainer.fit(
        encoder, datamodule=ImageData("table", folder, 8, labels={"type": "kind", "colour": "hue"}, least=2, batch_size=4)
    )
    trainer.save_checkpoint(folder / "encoder.ckpt")
    sizes = {"reduce": 8, "vector_size": 32, "embedding": 16, "hidden": 32, "dropout": 0.0}
    system = CaptionerSystem(encoder=folder / "encoder.ckpt", learning_rate=0.01, described=6, **sizes)
    trainer = Trainer(default_root_dir=folder, max_epochs=50, check_val_every_n_epoch=50, **QUIET)
    trainer.fit(system, datamodule=data)
    trainer.save_checkpoint(folder / "captioner.ckpt")
    return folder, data, trainer


def test_training_teaches_the_type_and_the_colour_of_unseen_pictures(trained: tuple[Path, CaptionData, Trainer]) -> None:
    folder, data, trainer = trained
    network = read_network(folder / "captioner.ckpt", "captioner")
    assert data.validation_pictures is not None
    pictures = data.validation_pictures.__getitems__(list(range(len(data.validation_pictures))))[0].float() / 255
    for said, captions in zip(network.beam_search(pictures), data.captions["validation"], strict=True):
        assert said.text in [" ".join(tokens(text)) for text in captions]
    scores = {key: float(value) for key, value in trainer.callback_metrics.items()}
    assert 1 < scores["val/perplexity"] < 6 and scores["val/bleu4"] > 0
    assert np.exp(scores["val/loss"]) == pytest.approx(scores["val/perplexity"], rel=1e-4)
    assert (folder / "captions.png").is_file()


def test_the_trunk_and_its_pixels_are_the_encoders_and_are_not_trained(trained: tuple[Path, CaptionData, Trainer]) -> None:
    folder, _, _ = trained
    captioner, encoder = read_network(folder / "captioner.ckpt", "captioner"), read_network(folder / "encoder.ckpt", "encoder")
    assert all(torch.equal(value, captioner.trunk.state_dict()[key]) for key, value in encoder.trunk.state_dict().items())
    image = torch.rand(2, 3, 8, 8)
    ours, theirs = captioner.maps(image), encoder.maps(image)
    assert len(ours) == len(theirs) == 2
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_the_maps_that_it_was_trained_on_are_standardised_in_each_channel(trained: tuple[Path, CaptionData, Trainer]) -> None:
    folder, data, _ = trained
    network = read_network(folder / "captioner.ckpt", "captioner")
    standard = (data.maps["train"][0].float() - network.mean) / network.std
    torch.testing.assert_close(standard.mean((0, 2, 3)), torch.zeros(14), atol=1e-4, rtol=0)
    torch.testing.assert_close(standard.std((0, 2, 3)), torch.ones(14), atol=1e-4, rtol=0)
    joined = torch.randn(2, 14, 2, 2)
    before = network.vector_of(joined)
    shifted = 2 * (joined - network.mean) + network.mean + 3
    network.mean += 3
    network.std *= 2
    torch.testing.assert_close(network.vector_of(shifted), before)


def test_the_perplexity_is_that_of_every_caption_of_the_validation_pictures(trained: tuple[Path, CaptionData, Trainer]) -> None:
    folder, data, trainer = trained
    network = read_network(folder / "captioner.ckpt", "captioner")
    assert data.validation_pictures is not None
    nats, count = 0.0, 0
    for place, captions in enumerate(data.captions["validation"]):
        picture = data.validation_pictures.__getitems__([place])[0].float() / 255
        for text in captions:
            words = data.words_of(text)[None]
            nats, count = nats - float(network.word_log_probs(network.image_vector(picture), words).sum()), count + words.shape[1]
    assert np.exp(nats / count) == pytest.approx(float(trainer.callback_metrics["val/perplexity"]), rel=1e-2)  # maps are halves


def test_a_torchvision_trunk_takes_its_weights_from_a_file_and_a_bare_convnet_is_refused(tmp_path: Path) -> None:
    from torchvision import models

    data = product_table(tmp_path)
    state = models.squeezenet1_1(weights=None).state_dict()
    torch.save(state, tmp_path / "trunk.pth")
    system = CaptionerSystem(
        trunk_weights=tmp_path / "trunk.pth", trunk_input=32, depths=("2",), hidden=8, vector_size=8, described=0
    )
    trainer = Trainer(default_root_dir=tmp_path, max_epochs=1, limit_train_batches=1, limit_val_batches=1, **QUIET)
    trainer.fit(system, datamodule=data)
    assert torch.equal(system.network.trunk.state_dict()["0.weight"], state["features.0.weight"])
    assert system.network.config.map_channels == 64 + 512
    assert not (tmp_path / "captions.png").exists()
    with pytest.raises(ValueError, match="not trained, and got a convnet without weights, .*: set model.encoder to a checkpoint"):
        CaptionerSystem(trunk="convnet")
