"""Texts and images under CLIP and SigLIP, real classes with random weights: the libraries' own logits, losses and pixels."""

import json
import re
import shutil
from copy import copy
from pathlib import Path

import huggingface_hub
import open_clip
import pytest
import tiny_text_models as tiny
import torch
from PIL import Image as Pillow
from safetensors.torch import save_file
from torch.nn import functional

from ppgn import loaders
from ppgn.checks import check_condition
from ppgn.conditions import Crops, Preprocessing, TextSimilarity

TEXTS = ["a red handbag", "a blue handbag for women", "green"]
OPEN_CLIP = {
    "embed_dim": 6,
    "vision_cfg": {"image_size": 8, "layers": 2, "width": 16, "head_width": 8, "patch_size": 4},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
}


def of_transformers(kind: str, text=TEXTS[0], against=TEXTS[1:], **options) -> TextSimilarity:
    model, processor = {"clip": tiny.clip, "siglip": tiny.siglip}[kind]()
    return TextSimilarity.from_transformers(model, processor, tiny.tokenizer(), text, against, **options)


@pytest.fixture
def tiny_open_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the weights of two models that open_clip builds by name until the test is over."""
    for name in ("_MODEL_CONFIGS", "_MODEL_CONFIG_PATHS"):
        monkeypatch.setattr(open_clip.factory, name, copy(getattr(open_clip.factory, name)))
    (tmp_path / "configs").mkdir()
    for name, config in (("tiny-clip", OPEN_CLIP), ("tiny-siglike", {**OPEN_CLIP, "init_logit_bias": -3.0})):
        (tmp_path / "configs" / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "configs")
    for name in ("tiny-clip", "tiny-siglike"):
        torch.manual_seed(7)
        save_file(tiny.spread(open_clip.create_model(name)).float().state_dict(), tmp_path / f"{name}.safetensors")
    return tmp_path


def own_logits(condition: TextSimilarity, kind: str, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(logits per image, loss) of the library for the three texts, tokenised as its documentation does."""
    padding = {"padding": "max_length", "max_length": 12} if kind == "siglip" else {"padding": True}
    tokens = tiny.tokenizer()(TEXTS, return_tensors="pt", **padding)
    names = ["input_ids"] if kind == "siglip" else ["input_ids", "attention_mask"]
    with torch.no_grad():
        own = condition.encode.model(pixel_values=pixels, return_loss=True, **{name: tokens[name] for name in names})
    return own.logits_per_image, own.loss


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_logits_are_transformers_own(kind) -> None:
    condition, image = of_transformers(kind), tiny.image()
    own, _ = own_logits(condition, kind, condition.encode.prepare(image))
    assert torch.allclose(condition.logits(image), own, rtol=0, atol=1e-5)
    assert own.std(0).min() > 1e-3
    assert torch.equal(of_transformers(kind, measure="logit")(image), condition.logits(image)[:, 0])


def test_clips_value_is_the_log_softmax_over_texts_as_in_its_own_loss() -> None:
    condition, image = of_transformers("clip"), tiny.image()
    own, loss = own_logits(condition, "clip", condition.encode.prepare(image))
    assert torch.allclose(condition(image), own.softmax(1)[:, 0].log(), rtol=0, atol=1e-6)
    per_image = of_transformers("clip", TEXTS, [])(image)  # chain i asks for text i
    per_text = own.log_softmax(0).diagonal()
    assert torch.allclose(-(per_image.mean() + per_text.mean()) / 2, loss.to(per_image), rtol=0, atol=1e-6)


def test_siglips_value_is_the_log_sigmoid_and_over_all_pairs_its_own_loss() -> None:
    condition, image = of_transformers("siglip", against=[]), tiny.image()
    own, loss = own_logits(condition, "siglip", condition.encode.prepare(image))
    assert torch.allclose(condition(image), functional.logsigmoid(own[:, 0]), rtol=0, atol=1e-6)
    of_pairs = of_transformers("siglip", TEXTS, [])(image)
    assert torch.allclose(-of_pairs.sum() / len(TEXTS), loss, rtol=0, atol=1e-6)


def test_log_sigmoids_keep_their_digits_where_the_text_fits_perfectly() -> None:
    texts = torch.eye(2)
    condition = TextSimilarity(lambda seen: seen.flatten(1), texts, scale=20.0, measure="log_sigmoid")
    image = torch.tensor([1.0, -1.0]).reshape(1, 2, 1, 1)
    exact = -torch.log1p(torch.exp(torch.tensor(-20.0, dtype=torch.float64) / 2**0.5)) * 2
    assert condition(image).item() == pytest.approx(exact.item(), rel=1e-5)


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_similarities_keep_the_contract_and_agree_with_finite_differences(kind) -> None:
    for crops in (None, Crops(2, seed=1)):
        condition, image = of_transformers(kind, crops=crops), tiny.image(2, 7, 7)
        check_condition(condition, image, tolerance=1e-6)
        tiny.assert_gradient(condition, image)


def test_each_chain_may_ask_for_its_own_text_among_all() -> None:
    image = tiny.image()
    together = of_transformers("clip", [TEXTS[2], TEXTS[0], TEXTS[2]], [TEXTS[1]])
    assert len(together.texts) == 3
    expected = together.logits(image).log_softmax(1)[range(3), [0, 1, 0]]
    assert torch.equal(together(image), expected)
    with pytest.raises(ValueError, match="3 targets for 2 chains"):
        together(image[:2])


def test_the_value_over_crops_is_the_mean_of_the_values_of_the_parts() -> None:
    crops, image = Crops(3, seed=4), tiny.image(2, 20, 20)
    plain = of_transformers("clip")
    parts = torch.stack([plain(part) for part in crops(image)])
    assert torch.allclose(of_transformers("clip", crops=crops)(image), parts.mean(0), rtol=0, atol=1e-12)
    assert parts.std(0).min() > 1e-3


def test_one_crop_of_the_whole_image_is_the_image_or_its_mirror() -> None:
    image = tiny.image(2, 9, 6)
    kept = [Crops(1, seed=seed, smallest=1.0)(image)[0] for seed in range(12)]
    assert {torch.equal(part, image) for part in kept} == {True, False}
    assert all(torch.equal(part, image) or torch.equal(part, image.flip(-1)) for part in kept)
    assert all(torch.equal(Crops(1, seed=seed, smallest=1.0, flip=False)(image)[0], image) for seed in range(12))


def test_crops_are_a_function_of_their_seed_inside_the_image_and_of_its_proportions() -> None:
    image = torch.arange(40 * 60, dtype=torch.float64).reshape(1, 1, 40, 60).expand(2, 1, 40, 60)
    parts, again, other = Crops(20, seed=2)(image), Crops(20, seed=2)(image), Crops(20, seed=3)(image)
    assert all(torch.equal(first, second) for first, second in zip(parts, again, strict=True))
    assert any(first.shape != second.shape for first, second in zip(parts, other, strict=True))
    for part in parts:
        height, width = part.shape[-2:]
        assert 0.5**0.5 * 40 - 1 <= height <= 40
        assert abs(width / height - 1.5) < 0.06
        rows = part[0, 0, 1:, 0] - part[0, 0, :-1, 0]
        assert torch.equal(rows, torch.full_like(rows, 60.0))  # a connected part, neither resized nor wrapped
    assert len({tuple(part.shape) for part in parts}) > 5


@pytest.mark.parametrize("name", ["tiny-clip", "tiny-siglike"])
def test_logits_are_open_clips_own_of_the_weights_in_a_file(tiny_open_clip: Path, name) -> None:
    condition = loaders.similarity(f"open_clip:{name}/{tiny_open_clip / name}.safetensors", TEXTS[0], TEXTS[1:])
    image = tiny.image(3).float()
    model, tokenizer = condition.encode.model, open_clip.get_tokenizer(name)
    with torch.no_grad():
        own, _ = model.get_logits(condition.encode.prepare(image), tokenizer(TEXTS))
    assert torch.allclose(condition.logits(image), own, rtol=0, atol=1e-5)
    assert condition.measure == ("log_sigmoid" if name == "tiny-siglike" else "log_softmax")
    check_condition(condition, image)


def test_published_weights_are_taken_by_their_tag_from_the_cache_with_the_pixels_they_were_trained_on(
    tiny_open_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = {"hf_hub": "nobody/tiny/", "mean": (0.1, 0.2, 0.3), "std": (0.5,) * 3, "resize_mode": "squash", "quick_gelu": True}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny-clip", {"small": tag, "pickled": {"url": "https://nowhere/x.pt"}})
    with pytest.raises(ValueError, match="not published as safetensors"):
        loaders.similarity("open_clip:tiny-clip/pickled", TEXTS[0], TEXTS[1:])
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tiny_open_clip / "hub"))
    with pytest.raises(ValueError, match="run `hf download nobody/tiny open_clip_model.safetensors`"):
        loaders.similarity("open_clip:tiny-clip/small", TEXTS[0], TEXTS[1:])
    repository = tiny_open_clip / "hub" / "models--nobody--tiny"
    for folder in ("refs", "snapshots/0"):
        (repository / folder).mkdir(parents=True)
    (repository / "refs" / "main").write_text("0")
    shutil.copy(tiny_open_clip / "tiny-clip.safetensors", repository / "snapshots/0/open_clip_model.safetensors")
    found = loaders.similarity("open_clip:tiny-clip/small", TEXTS[0], TEXTS[1:])
    assert found.encode.prepare == Preprocessing((8, 8), None, (0.1, 0.2, 0.3), (0.5,) * 3)
    assert any(isinstance(module, open_clip.transformer.QuickGELU) for module in found.encode.model.modules())
    plain = loaders.similarity(f"open_clip:tiny-clip/{tiny_open_clip / 'tiny-clip.safetensors'}", TEXTS[0], TEXTS[1:])
    weights = plain.encode.model.state_dict()
    assert all(torch.equal(value, weights[key]) for key, value in found.encode.model.state_dict().items())


@pytest.mark.parametrize(("height", "width"), [(8, 8), (20, 20), (31, 17), (12, 21)])
@pytest.mark.parametrize("how", ["shortest", "squash"])
def test_pixels_are_made_as_by_open_clips_own_transform(how, height, width) -> None:
    config = open_clip.transform.PreprocessCfg(size=8, resize_mode=how)
    transform = open_clip.transform.image_transform_v2(config, is_train=False)
    image = tiny.image(2, height, width).float()
    own = torch.stack([_on_a_tensor(transform, one) for one in image])
    assert torch.allclose(Preprocessing.from_open_clip(vars(config))(image), own, rtol=0, atol=1e-5)


def _on_a_tensor(transform, one: torch.Tensor) -> torch.Tensor:
    """open_clip's transform without its two steps from Pillow to tensors."""
    for step in transform.transforms:
        one = one if type(step).__name__ in ("MaybeConvertMode", "MaybeToTensor") else step(one)
    return one


def test_an_8_bit_picture_goes_through_open_clips_own_pipeline_to_nearly_the_same_pixels() -> None:
    config = open_clip.transform.PreprocessCfg(size=8)
    picture = (tiny.image(1, 24, 24)[0] * 255).round().to(torch.uint8)
    own = open_clip.transform.image_transform_v2(config, is_train=False)(Pillow.fromarray(picture.permute(1, 2, 0).numpy()))
    ours = Preprocessing.from_open_clip(vars(config))(picture[None].float() / 255)[0]
    assert (ours - own).abs().max() < 2 / 255 / min(config.std)  # Pillow rounds to 8 bits once per axis


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_a_saved_folder_is_read_back_by_name_with_the_same_values(kind, tmp_path: Path) -> None:
    model, processor = {"clip": tiny.clip, "siglip": tiny.siglip}[kind]()
    for part in (model.float(), processor, tiny.tokenizer()):
        part.save_pretrained(tmp_path)
    image = tiny.image().float()
    expected = TextSimilarity.from_transformers(model, processor, tiny.tokenizer(), TEXTS[0], TEXTS[1:])(image)
    found = loaders.similarity(f"hf:{tmp_path}", TEXTS[0], TEXTS[1:])
    assert torch.allclose(found(image), expected, rtol=0, atol=1e-6)
    assert not any(weight.requires_grad for weight in found.encode.model.parameters())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hf:nobody/no-such-model", "run `hf download nobody/no-such-model`"),
        ("clip", "expected hf:FOLDER"),
        ("open_clip:", "expected hf:FOLDER"),
        ("open_clip:ViT-B-23/openai", "no model 'ViT-B-23', expected a name such as ViT-B-32"),
        ("open_clip:ViT-B-32", "names no weights, expected a file .safetensors or a tag .*laion2b_s34b_b79k"),
        ("open_clip:ViT-B-32/no_such_tag", "names no weights"),
        ("open_clip:ViT-B-32/weights.pt", "names no weights"),
        (
            "open_clip:ViT-B-32/laion2b_s34b_b79k",
            "run `hf download laion/CLIP-ViT-B-32-laion2B-s34B-b79K open_clip_model.safetensors`",
        ),
    ],
)
def test_names_that_cannot_be_loaded_say_what_to_do(name, message, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.pt").write_bytes(b"a pickle")
    with pytest.raises(ValueError, match=message):
        loaders.similarity(name, TEXTS[0], TEXTS[1:])


def test_the_python_of_the_documentation_runs_on_small_models_under_its_names(
    tiny_open_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_open_clip)
    places = {
        "blip": tiny.blip,
        "microsoft/git-large-coco": tiny.git,
        "openai/clip-vit-large-patch14": tiny.clip,
        "google/siglip-base-patch16-224": tiny.siglip,
    }
    text = (Path(__file__).parents[1] / "docs" / "text.md").read_text()
    for place, make in places.items():
        assert f"hf download {place}" in text or f"--local-dir {place}" in text
        for part in (*make(), tiny.tokenizer()):
            part.float().save_pretrained(place) if isinstance(part, torch.nn.Module) else part.save_pretrained(place)
    (tiny_open_clip / "tiny-clip.safetensors").rename("weights.safetensors")
    blocks = re.findall(r"```python\n(.*?)```", text.replace("open_clip:ViT-B-32/", "open_clip:tiny-clip/"), re.DOTALL)
    found: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/text.md", "exec"), found)
    image = tiny.image(4, 64, 64).float()
    for name in ("caption", "four", "both", "clip", "siglip", "crops", "local", "wanted"):
        check = found[name]
        assert callable(check)
        assert check(image).shape == (4,), name
    assert Path("handbags.png").stat().st_size > 1000


def test_weights_of_another_open_clip_model_are_refused(tiny_open_clip: Path) -> None:
    save_file({"logit_scale": torch.zeros(())}, tiny_open_clip / "other.safetensors")
    with pytest.raises(ValueError, match="give weights of tiny-siglike"):
        loaders.similarity(f"open_clip:tiny-siglike/{tiny_open_clip / 'other.safetensors'}", TEXTS[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: of_transformers("clip", against=[]), r"expected at least 2: give texts to compare with"),
        (lambda: of_transformers("clip", against="green"), "expected a list of texts"),
        (lambda: of_transformers("clip", " "), "none empty"),
        (lambda: of_transformers("clip", []), "at least one asked text"),
        (lambda: of_transformers("clip", "a " * 20), "a text of 22 tokens, expected at most 12"),
        (lambda: of_transformers("clip", measure="cosine"), "expected one of"),
        (lambda: TextSimilarity(lambda seen: seen, torch.eye(3), 3)(torch.rand(2, 3)), "target 3, expected 0 to 2"),
        (lambda: Crops(0), "expected count >= 1"),
        (lambda: Crops(1, smallest=0.0), "0 < smallest <= 1"),
        (lambda: Preprocessing.from_open_clip(vars(open_clip.transform.PreprocessCfg(resize_mode="longest"))), "'longest'"),
        (lambda: Preprocessing.from_open_clip(vars(open_clip.transform.PreprocessCfg(size=(8, 9)))), r"\(8, 9\)"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(make, message) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_model_that_went_back_into_train_mode_is_refused() -> None:
    condition = of_transformers("clip")
    condition.encode.model.train()
    with pytest.raises(ValueError, match="train mode"):
        condition(tiny.image())
