"""Captioners of transformers, the real classes with random weights, against the library's own loss and by finite differences."""

import subprocess
import sys
from pathlib import Path

import pytest
import tiny_text_models as tiny
import torch
from torch.nn import functional

from ppgn import loaders
from ppgn.checks import check_condition
from ppgn.conditions import Caption, Preprocessing, TransformersCaptioner

MAKERS = {"blip": tiny.blip, "git": tiny.git, "vit_bert": tiny.vit_bert, "vit_gpt2": tiny.vit_gpt2}
LONG, SHORT = "a red handbag for women", "a blue handbag"
every_kind = pytest.mark.parametrize("kind", MAKERS)


def captioner(kind: str, prompt: str = "") -> TransformersCaptioner:
    model, processor = MAKERS[kind]()
    return TransformersCaptioner(model, processor, tiny.tokenizer(), prompt=prompt)


def own_loss(kind: str, model, pixels: torch.Tensor, text: str) -> torch.Tensor:
    """The library's loss for one image and one caption, called as its documentation does."""
    ids = torch.tensor([tiny.tokenizer()(text)["input_ids"]])
    if kind == "blip":
        ids[:, 0] = tiny.DEC  # what its generate() puts there
    if kind in ("blip", "git"):
        return model(pixel_values=pixels, input_ids=ids, labels=ids).loss
    return model(pixel_values=pixels, labels=ids).loss


def scored(kind: str, text: str) -> int:
    """Tokens in that loss: words and the end mark, and for an encoder-decoder the first special token of its labels."""
    return len(text.split()) + (2 if kind.startswith("vit") else 1)


@every_kind
def test_each_chains_value_is_minus_the_librarys_own_loss_times_its_tokens(kind) -> None:
    wrapped, image = captioner(kind), tiny.image()
    pixels = wrapped.prepare(image)
    with torch.no_grad():
        own = torch.stack([-own_loss(kind, wrapped.model, one[None], LONG) * scored(kind, LONG) for one in pixels])
        found = Caption(wrapped, LONG)(image)
    assert torch.allclose(found, own.to(found), rtol=0, atol=1e-5)
    assert found.std() > 1e-3


@every_kind
def test_captions_of_different_lengths_are_scored_side_by_side_as_alone(kind) -> None:
    wrapped, image, texts = captioner(kind), tiny.image(), [LONG, SHORT, "green"]
    with torch.no_grad():
        together = Caption(wrapped, texts)(image)
        alone = [Caption(wrapped, text)(one[None])[0] for text, one in zip(texts, image, strict=True)]
        per_word = Caption(wrapped, texts, per_word=True)(image)
    counts = torch.tensor([scored(kind, text) for text in texts])
    assert torch.allclose(together, torch.stack(alone), rtol=0, atol=1e-10)
    assert torch.allclose(per_word, together / counts, rtol=0, atol=1e-10)


@every_kind
def test_the_gradient_to_the_image_agrees_with_finite_differences_through_the_preprocessing(kind) -> None:
    width, tolerance = (1e-3, 1e-3) if kind == "git" else (1e-5, 1e-5)  # GIT's own softmax is in single precision
    tiny.assert_gradient(Caption(captioner(kind), [SHORT, LONG]), tiny.image(2, 7, 7), width, tolerance)


@every_kind
def test_the_condition_keeps_the_contract(kind) -> None:
    check_condition(Caption(captioner(kind), LONG), tiny.image(3, 10, 10), tolerance=1e-8)


@every_kind
def test_a_prompt_is_given_so_that_prompt_and_rest_add_up_to_the_whole(kind) -> None:
    image = tiny.image()
    whole = captioner(kind)
    with torch.no_grad():
        rest = Caption(captioner(kind, "a picture of"), LONG)(image)
        everything = Caption(whole, f"a picture of {LONG}")(image)
        words = torch.tensor(whole.words_of(f"a picture of {LONG}")).expand(3, -1)
        each = whole.word_log_probs(whole.image_vector(image), words, word_inputs=whole.word_inputs(words), truncated=False)
    given = 4 if kind.startswith("vit") else 3
    assert torch.allclose(everything - each[:, :given].sum(1), rest, rtol=0, atol=1e-10)
    assert (each[:, :given].sum(1) < -1e-3).all()


@every_kind
def test_no_token_is_predicted_from_one_that_comes_after_it(kind) -> None:
    wrapped, image = captioner(kind), tiny.image(1)
    words = torch.tensor([wrapped.words_of(LONG)])
    changed = words.clone()
    changed[:, -2] = tiny.WORDS.index("green")
    with torch.no_grad():
        pixels = wrapped.image_vector(image)
        first, second = (
            wrapped.word_log_probs(pixels, row, word_inputs=wrapped.word_inputs(row), truncated=False) for row in (words, changed)
        )
    assert torch.allclose(first[:, :-2], second[:, :-2], rtol=0, atol=1e-12)
    assert (first[:, -2:] - second[:, -2:]).abs().min() > 1e-6


def test_blips_label_smoothing_is_in_its_loss_but_not_in_the_log_probability() -> None:
    model, processor = tiny.blip(label_smoothing=0.1)
    wrapped, image, count = TransformersCaptioner(model, processor, tiny.tokenizer()), tiny.image(1), scored("blip", SHORT)
    ids = torch.tensor([[tiny.DEC, *wrapped.words_of(SHORT)]])
    with torch.no_grad():
        pixels = wrapped.prepare(image)
        log_probs = model(pixel_values=pixels, input_ids=ids).logits[:, :-1].log_softmax(2)
        likelihood = log_probs.gather(2, ids[:, 1:, None]).sum()
        smoothed = 0.9 * likelihood + 0.1 * log_probs.mean(2).sum()
        assert torch.allclose(-own_loss("blip", model, pixels, SHORT) * count, smoothed, rtol=0, atol=1e-10)
        assert torch.allclose(Caption(wrapped, SHORT)(image)[0], likelihood, rtol=0, atol=1e-10)
    assert (smoothed - likelihood).abs() > 1e-2


@pytest.mark.parametrize(("height", "width"), [(8, 8), (5, 5), (20, 20), (21, 12), (9, 16)])
@pytest.mark.parametrize("kind", ["blip", "git", "vit_bert"])
def test_pixels_are_made_as_by_the_librarys_own_image_processor(kind, height, width) -> None:
    processor, image = MAKERS[kind]()[1], tiny.image(2, height, width).float()
    own = processor(list(image), do_rescale=False, return_tensors="pt")["pixel_values"]
    assert torch.allclose(Preprocessing.from_transformers(processor)(image), own, rtol=0, atol=1e-5)


def test_eight_bit_pictures_and_unit_pixels_give_the_same_network_input() -> None:
    bytes_ = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    for changes in ({}, {"rescale_factor": 1 / 127.5, "do_normalize": False}, {"do_rescale": False, "image_mean": [100.0] * 3}):
        processor = type(tiny.clip_processor())(size={"shortest_edge": 8}, crop_size={"height": 8, "width": 8}, **changes)
        own = processor(list(bytes_), return_tensors="pt")["pixel_values"]
        found = Preprocessing.from_transformers(processor)(bytes_ / 255)
        assert torch.allclose(found, own.float(), rtol=1e-5, atol=1e-4), changes


def test_an_image_smaller_than_the_crop_gets_the_librarys_margin_of_zeros() -> None:
    processor, image = (
        type(tiny.clip_processor())(do_resize=False, crop_size={"height": 8, "width": 9}),
        tiny.image(2, 5, 12).float(),
    )
    own = processor(list(image), do_rescale=False, return_tensors="pt")["pixel_values"]
    assert torch.allclose(Preprocessing.from_transformers(processor)(image), own, rtol=0, atol=1e-5)


def test_a_grey_image_is_given_to_all_three_channels() -> None:
    prepare = Preprocessing.from_transformers(tiny.clip_processor())
    grey = tiny.image()[:, :1]
    assert torch.equal(prepare(grey), prepare(grey.expand(-1, 3, -1, -1)))


@every_kind
def test_a_saved_folder_is_read_back_by_name_with_the_same_values(kind, tmp_path: Path) -> None:
    model, processor = MAKERS[kind]()
    for part in (model.float(), processor, tiny.tokenizer()):
        part.save_pretrained(tmp_path / kind)
    image = tiny.image().float()
    expected = Caption(TransformersCaptioner(model, processor, tiny.tokenizer()), SHORT)(image)
    found = loaders.captioner(f"hf:{tmp_path / kind}", SHORT)
    assert torch.allclose(found(image), expected, rtol=0, atol=1e-6)
    assert not any(weight.requires_grad for weight in found.captioner.model.parameters())


def test_importing_ppgn_with_its_loaders_loads_neither_library() -> None:
    code = "import ppgn.loaders, ppgn.conditions, sys; print([m for m in ('transformers', 'open_clip') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_folder_that_lacks_weights_or_holds_only_pickles_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    model, processor = tiny.vit_gpt2()
    for part in (model, processor, tiny.tokenizer()):
        part.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    weights = load_file(file)
    torch.save(weights, tmp_path / "pytorch_model.bin")
    save_file({key: value for key, value in weights.items() if "c_proj" not in key}, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lack \d+ values .* expected all of VisionEncoderDecoderModel"):
        loaders.captioner(f"hf:{tmp_path}", SHORT)
    file.unlink()
    with pytest.raises(ValueError, match="weights as safetensors"):
        loaders.captioner(f"hf:{tmp_path}", SHORT)


def test_names_that_cannot_be_loaded_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="run `hf download nobody/no-such-model`"):
        loaders.captioner("hf:nobody/no-such-model", SHORT)
    for name in ("blip", "hf:", "timm:resnet18"):
        with pytest.raises(ValueError, match="expected hf:FOLDER or hf:OWNER/MODEL"):
            loaders.captioner(name, SHORT)
    tiny.clip()[0].save_pretrained(tmp_path / "clip")
    with pytest.raises(ValueError, match="of type 'clip', expected one of"):
        loaders.captioner("hf:clip", SHORT)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r'pip install "ppgn\[text\]"'):
        loaders.captioner("hf:clip", SHORT)


def test_captions_and_models_that_do_not_fit_are_refused() -> None:
    wrapped = captioner("git")
    for text, message in (
        ("a crocodile", "does not know all of 'a crocodile'"),
        (" ", "empty caption"),
        ("a " * 13, "needs 14 tokens, expected at most 12"),
    ):
        with pytest.raises(ValueError, match=message):
            Caption(wrapped, text)
    with pytest.raises(ValueError, match="2 captions for 3 chains"):
        Caption(wrapped, [SHORT, LONG])(tiny.image())
    with pytest.raises(ValueError, match="no recurrent state"):
        Caption(wrapped, SHORT, truncated=True)(tiny.image())
    with pytest.raises(ValueError, match="does not know all of 'a drawing of'"):
        captioner("blip", "a drawing of")
    with pytest.raises(ValueError, match="model of type 'clip'"):
        TransformersCaptioner(*tiny.clip(), tiny.tokenizer())
    wrapped.model.train()
    with pytest.raises(ValueError, match="train mode"):
        Caption(wrapped, SHORT)(tiny.image())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"do_pad": True}, "do_pad"),
        ({"resample": 0}, "resample=0"),
        ({"size": {"longest_edge": 8, "shortest_edge": 4}}, "the size"),
    ],
)
def test_an_image_processor_with_a_step_that_is_not_read_is_refused(changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing.from_transformers(tiny.SiglipImageProcessor(**changes))


def test_an_encoder_decoder_without_a_start_mark_is_refused() -> None:
    model, processor = tiny.vit_bert()
    for place in (model.config, model.generation_config, model.config.decoder):
        place.decoder_start_token_id = None
    with pytest.raises(ValueError, match="no decoder_start_token_id"):
        TransformersCaptioner(model, processor, tiny.tokenizer())


def test_the_mean_cross_entropy_of_a_uniform_captioner_is_the_log_of_its_vocabulary() -> None:
    model, processor = tiny.git()
    torch.nn.init.zeros_(model.output.weight)
    torch.nn.init.zeros_(model.output.bias)
    value = Caption(TransformersCaptioner(model, processor, tiny.tokenizer()), LONG, per_word=True)(tiny.image())
    uniform = functional.log_softmax(torch.zeros(len(tiny.WORDS), dtype=torch.float64), 0)[0]
    assert torch.allclose(value, uniform.expand(3), rtol=0, atol=1e-12)
