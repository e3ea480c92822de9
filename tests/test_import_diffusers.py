"""`ppgn import-diffusers`: bundles whose parts are references to files of diffusers, from folders and from the hub's cache."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from latent_networks import autoencoder, class_transformer, diffusers, flow_transformer, prompted_unet, save, unet

import ppgn
from ppgn import cli
from ppgn.bundle import load_bundle
from ppgn.errors import BundleError

pytestmark = pytest.mark.usefixtures("one_thread")
BRIGHT = "bright.py:bright"


@pytest.fixture(autouse=True)
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PPGN_CHECKPOINTS", str(tmp_path / "made"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "bright.py").write_text("def bright(image):\n    return 50 * image.mean((1, 2, 3))\n")
    return tmp_path


def imported(*words: Any, out: str = "made/latent") -> Any:
    assert cli.main(["import-diffusers", *map(str, words), "--out", out]) == 0
    return load_bundle(out)


@pytest.mark.parametrize(("score", "scheduler"), [(unet, "DDPMScheduler"), (prompted_unet, "PNDMScheduler"),
                                                  (class_transformer, "DDIMScheduler")])  # fmt: skip
def test_a_pipeline_samples_and_evolves_from_one_command_each(score: Any, scheduler: str, room: Path) -> None:
    name = "transformer" if score is class_transformer else "unet"
    parts = {"vae": autoencoder("AutoencoderKL"), name: score(), "scheduler": getattr(diffusers, scheduler)()}
    bundle = imported(save(room / "pipeline", **parts))
    assert set(bundle.parts) == {"generator", "encoder", "noise_level"} and bundle.image.size == (16, 16)
    assert [path.name for path in (room / "made" / "latent").iterdir()] == ["bundle.json"]  # no weights
    code = torch.randn(1, 4, 8, 8)
    torch.testing.assert_close(bundle.generator(code), bundle.generator.of(parts["vae"], 16)(code))
    assert cli.main(["sample", "latent", "--condition", BRIGHT, "--steps", "3", "--count", "1", "--out", "made.png"]) == 0
    assert cli.main(["evolve", "latent", "--score", BRIGHT, "--budget", "8", "--population", "4", "--out", "evolved"]) == 0


def test_a_tiny_autoencoder_of_another_place_serves_a_flow_transformer(room: Path) -> None:
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    pipeline = save(room / "pipeline", vae=autoencoder("AutoencoderKL"), transformer=flow_transformer(), scheduler=scheduler)
    autoencoder("AutoencoderTiny").save_pretrained(room / "tiny")
    bundle = imported(pipeline, "--autoencoder", room / "tiny")
    assert (
        bundle.generator.config.kind == "AutoencoderTiny" and bundle.parts["noise_level"].config.kind == "SD3Transformer2DModel"
    )
    samples = ppgn.sample(bundle, lambda image: image.mean((1, 2, 3)), count=1, steps=4)
    assert samples.images.shape == (1, 3, 16, 16) and bool(samples.images.isfinite().all())


def test_an_autoencoder_alone_has_the_reconstruction_as_prior(room: Path) -> None:
    autoencoder("AutoencoderDC").save_pretrained(room / "alone")
    bundle = imported(room / "alone", "--size", "16x24")
    assert bundle.recipes["class"]["prior"]["name"] == "reconstruction" and bundle.image.size == (16, 24)
    assert ppgn.sample(bundle, lambda image: image.mean((1, 2, 3)), count=1, steps=3).images.shape == (1, 3, 16, 24)


def test_a_score_model_that_is_not_known_is_left_out_and_said(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = save(room / "pipeline", vae=autoencoder("AutoencoderKL"))
    index = json.loads((place / "model_index.json").read_text())
    (place / "model_index.json").write_text(json.dumps({**index, "transformer": ["diffusers", "SanaTransformer2DModel"]}))
    assert set(imported(place).parts) == {"generator", "encoder"}
    assert "SanaTransformer2DModel is not known as a prior" in capsys.readouterr().err


def test_a_prompt_is_embedded_by_the_pipelines_text_encoder(room: Path) -> None:
    from tiny_text_models import WORDS, tokenizer
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = CLIPTextModel(
        CLIPTextConfig(vocab_size=len(WORDS), max_position_embeddings=8, bos_token_id=2, eos_token_id=3, **sizes)
    )
    words = tokenizer()
    words.model_max_length = 8
    pipeline = diffusers.StableDiffusionPipeline(
        autoencoder("AutoencoderKL"), text, words, prompted_unet(), diffusers.DDIMScheduler(), None, None,
        requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(room / "pipeline")
    expected = pipeline.encode_prompt("a red handbag", "cpu", 1, True)
    score = imported(room / "pipeline", "--prompt", "a red handbag", "--guidance-scale", "3").parts["noise_level"]
    for denoiser, embedding in zip((score.given, score.empty), expected, strict=True):
        torch.testing.assert_close(denoiser.inputs["encoder_hidden_states"], embedding)
    assert score.config.guidance_scale == 3 and not torch.equal(*expected)
    saved = ppgn.bundle.save_bundle(room / "again", name="again", parts=load_bundle("made/latent").parts,
                                    code=load_bundle("made/latent").code, image=load_bundle("made/latent").image)  # fmt: skip
    code = torch.randn(1, 4, 8, 8)
    torch.testing.assert_close(load_bundle(saved).parts["noise_level"].denoise(code, 1.0), score.denoise(code, 1.0))


def cached(home: Path, pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder as owner/name in the hub's cache."""
    import huggingface_hub.constants

    repository = home / "models--owner--name"
    shutil.copytree(pipeline, repository / "snapshots" / ("a" * 40))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(home))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return repository / "snapshots" / ("a" * 40)


def test_a_repository_in_the_cache_works_offline_and_is_checked(
    room: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline = save(room / "pipeline", vqvae=autoencoder("VQModel"), unet=unet(), scheduler=diffusers.DDIMScheduler())
    snapshot = cached(room / "hub", pipeline, monkeypatch)
    imported("owner/name")
    info = json.loads((room / "made" / "latent" / "bundle.json").read_text())
    assert {entry["reference"]["source"] for entry in info["parts"].values()} == {"hf://owner/name@" + "a" * 40}
    assert cli.main(["bundles", "--fetch", "latent"]) == 0
    assert "noise_level: 3 files" in capsys.readouterr().out
    weights = snapshot / "unet" / "diffusion_pytorch_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(BundleError, match="another file than was imported"):
        load_bundle("latent")
    weights.unlink()
    with pytest.raises(BundleError, match="not in the cache and cannot be downloaded .* connect to the network"):
        load_bundle("latent")


def test_without_network_a_repository_that_is_not_cached_is_a_sentence(
    room: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cached(room / "hub", save(room / "pipeline", vae=autoencoder("AutoencoderKL")), monkeypatch)
    assert cli.main(["import-diffusers", "owner/other", "--out", "made/other"]) == 2
    said = capsys.readouterr().err
    assert "cannot be read from the hub or its cache" in said and "Traceback" not in said


@pytest.mark.parametrize("change", [{"source": "file:///etc"}, {"files": []}, {"source": "http://example.com/x"}])
def test_a_reference_that_was_changed_is_refused(room: Path, change: dict[str, Any]) -> None:
    imported(save(room / "pipeline", vae=autoencoder("AutoencoderKL")))
    file = room / "made" / "latent" / "bundle.json"
    info = json.loads(file.read_text())
    info["parts"]["generator"]["reference"].update(change)
    file.write_text(json.dumps(info))
    with pytest.raises(BundleError, match="import it again"):
        load_bundle("latent")


def test_paths_out_of_the_folder_are_refused(room: Path) -> None:
    imported(save(room / "pipeline", vae=autoencoder("AutoencoderKL")))
    file = room / "made" / "latent" / "bundle.json"
    info = json.loads(file.read_text())
    info["parts"]["encoder"]["reference"]["files"][0]["path"] = "../secret"
    file.write_text(json.dumps(info))
    with pytest.raises(BundleError, match="does not describe its reference"):
        load_bundle("latent")


def test_a_folder_without_safetensors_is_refused(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    autoencoder("AutoencoderKL").save_pretrained(room / "pickled", safe_serialization=False)
    assert cli.main(["import-diffusers", str(room / "pickled"), "--out", "made/pickled"]) == 2
    assert "expected weights as safetensors" in capsys.readouterr().err
