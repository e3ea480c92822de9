"""Representation autoencoders: a frozen network of timm as the encoder, a decoder trained for it, a score model of its maps."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

import ppgn
import training
from ppgn import cli, evaluation, images, loaders
from ppgn.networks import FrozenEncoder, ImageGenerator, ImageGeneratorConfig, MapDenoiser, MapDenoiserConfig, build
from training import CodeData, Frozen, GeneratorSystem, ImageData, NoiseLevelSystem, distance, frozen_encoder, matched

timm = pytest.importorskip("timm")
ROOT = Path(__file__).parents[1]
SIDE = 64
SIZES = [
    "--model.network.base_size",
    "4",
    "--model.network.base_channels",
    "16",
    "--model.network.stages",
    "[[16,0],[8,0],[8,8]]",
]
ADVERSARY = ["--model.discriminator.widths", "[8,8]", "--model.discriminator.feature_width", "8"]
FEW = ["--trainer.max_steps", "8", "--trainer.accelerator", "cpu", "--trainer.enable_model_summary", "false"]


def vit(name: str = "test_vit", **options: Any) -> Any:
    torch.manual_seed(0)
    return timm.create_model(name, pretrained=False, **options).eval()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "vit.pth"
    torch.save(vit().state_dict(), path)
    return path


def prepared(image: Tensor, side: int = 160) -> Tensor:
    """As timm's test_vit wants pixels: mean and std 0.5."""
    return (interpolate(image, (side, side), mode="bilinear", antialias=True) - 0.5) / 0.5


def as_map(tokens: Tensor, rows: int) -> Tensor:
    return tokens[:, 1:].transpose(1, 2).unflatten(2, (rows, -1))


@pytest.mark.parametrize("code", ["map", "class", "mean"])
def test_the_code_is_timms_own_tokens_bit_for_bit(code: str, weights: Path) -> None:
    encoder = frozen_encoder("timm:test_vit", Frozen("norm", code, weights=weights))  # type: ignore[arg-type]
    image = torch.rand(3, 3, 192, 192)
    tokens = vit().to(memory_format=torch.channels_last).forward_features(prepared(image)).detach()
    expected = {"map": as_map(tokens, 10), "class": tokens[:, 0], "mean": as_map(tokens, 10).mean((2, 3))}[code]
    assert torch.equal(encoder(image), expected) and encoder.code_shape == tuple(expected.shape[1:])
    assert torch.equal(encoder.code_from_pool5(encoder.maps(image)[-1]), expected)


def test_another_input_size_is_timms_own_interpolation_of_positions(weights: Path) -> None:
    encoder = frozen_encoder("timm:test_vit", Frozen("norm", weights=weights, size=(SIDE, 96)))
    network = vit(dynamic_img_size=True).to(memory_format=torch.channels_last)
    image = torch.rand(2, 3, SIDE, 96)
    tokens = network.forward_features((image - 0.5) / 0.5).detach()
    assert torch.equal(encoder(image), as_map(tokens, 4)) and encoder.code_shape == (64, 4, 6)


def test_registers_of_dinov3_are_left_out_and_its_rotary_tables_survive_building_without_memory(tmp_path: Path) -> None:
    network = vit("vit_small_patch16_dinov3")
    torch.save(network.state_dict(), tmp_path / "w.pth")
    encoder = frozen_encoder("timm:vit_small_patch16_dinov3", Frozen("norm", weights=tmp_path / "w.pth", size=48))
    image, config = torch.rand(1, 3, 48, 48), network.pretrained_cfg
    mean, std = (torch.tensor(config[key])[:, None, None] for key in ("mean", "std"))
    tokens = network.forward_features((image - mean) / std).detach()
    assert tokens.shape[1] == 1 + 4 + 9
    torch.testing.assert_close(encoder(image), tokens[:, 5:].transpose(1, 2).unflatten(2, (3, 3)), atol=1e-5, rtol=1e-4)
    with torch.device("meta"):
        again = build(FrozenEncoder.architecture, training.describe(encoder)["config"])
    again.load_state_dict(encoder.state_dict(), assign=True)
    torch.testing.assert_close(again(image), encoder(image))


def test_weights_come_from_the_hubs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants
    from safetensors.torch import save_file

    place = timm.get_pretrained_cfg("test_vit").hf_hub_id.replace("/", "--")
    snapshot = tmp_path / f"models--{place}" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("a" * 40)
    state = vit().state_dict()
    save_file(state, snapshot / "model.safetensors")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    kept = frozen_encoder("timm:test_vit", Frozen("norm")).network.state_dict()
    assert all(torch.equal(kept[key], state[key]) for key in state)


@pytest.mark.parametrize(("name", "layer"), [("test_resnet", "layer3"), ("test_convnext", "stages.2")])
def test_maps_of_convolutional_networks_are_their_layers(name: str, layer: str, tmp_path: Path) -> None:
    network = vit(name)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    encoder = frozen_encoder(f"timm:{name}", Frozen(layer, weights=tmp_path / "w.pth", size=SIDE))
    seen: list[Tensor] = []
    network.get_submodule(layer).register_forward_hook(lambda module, inputs, output: seen.append(output.detach()))
    image, config = torch.rand(2, 3, SIDE, SIDE), network.pretrained_cfg
    mean, std = (torch.tensor(config[key])[:, None, None] for key in ("mean", "std"))
    network.to(memory_format=torch.channels_last)((image - mean) / std)
    torch.testing.assert_close(encoder(image), seen[0])


def test_a_vision_tower_of_transformers_is_rebuilt_from_its_config(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
    network = transformers.Dinov2Model(transformers.Dinov2Config(**sizes)).eval()
    network.save_pretrained(tmp_path)
    transformers.BitImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    encoder = frozen_encoder(f"transformers:{tmp_path}", Frozen("layernorm"))
    image, config = torch.rand(2, 3, 32, 32), encoder.config
    mean, std = (torch.tensor(value)[:, None, None] for value in (config.mean, config.std))
    tokens = network(pixel_values=(image - mean) / std).last_hidden_state
    torch.testing.assert_close(encoder(image), as_map(tokens, 4))
    again = build(FrozenEncoder.architecture, training.describe(encoder)["config"])
    again.load_state_dict(encoder.state_dict())
    assert torch.equal(again(image), encoder(image))


def test_the_gradient_reaches_the_picture_and_no_weight(weights: Path) -> None:
    encoder = frozen_encoder("timm:test_vit", Frozen("blocks.2", weights=weights, maps=("blocks.0",), size=32))
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    encoder.train()
    sum(one.square().sum() for one in encoder.maps(image)).backward()  # type: ignore[union-attr]
    assert image.grad is not None and bool(image.grad.any())
    assert not any(weight.requires_grad for weight in encoder.parameters())
    assert not any(module.training for module in encoder.modules())


def test_the_loss_on_a_map_is_the_number_worked_out_by_hand() -> None:
    made = torch.tensor([3.0, 4.0, 0.0, 2.0]).reshape(1, 2, 1, 2)  # places (3, 0) and (4, 2)
    real = torch.tensor([0.0, 2.0, 5.0, 1.0]).reshape(1, 2, 1, 2)  # places (0, 5) and (2, 1)
    assert float(distance("unit_channel_square", made, real)) == pytest.approx(1.0)  # 2 at the first, 0 at the second
    assert float(distance("half_square_sum", made, real)) == pytest.approx((9 + 25 + 4 + 1) / 2)


def test_a_discriminator_matches_a_map_place_by_place() -> None:
    activation, code = torch.rand(2, 3, 2, 2), torch.rand(2, 5, 4, 6)
    linear = torch.nn.Linear(5, 3, bias=False)
    expected = torch.zeros(2)
    for picture in range(2):
        for row in range(2):
            for column in range(2):
                there = code[picture, :, 2 * row : 2 * row + 2, 3 * column : 3 * column + 3].mean((1, 2))
                expected[picture] += activation[picture, :, row, column] @ (linear.weight @ there) / 4
    torch.testing.assert_close(matched(activation, code, linear), expected)
    same = code[:, :, :1, :1].expand(-1, -1, 4, 6)
    torch.testing.assert_close(matched(activation, same, linear), matched(activation, code[:, :, 0, 0], linear))


def test_a_generator_begins_at_the_map_and_resizes_one_of_another_size() -> None:
    config = ImageGeneratorConfig(code_shape=(5, 7, 7), base_size=8, base_channels=4, stages=((4, 0),), code_scale=2.0)
    generator = ImageGenerator(config).eval()
    code = torch.randn(2, 5, 7, 7)
    base = generator.from_map(interpolate(code / 2, (8, 8), mode="bilinear"))
    expected = 0.5 + 0.5 * generator.to_pixels(generator.upconvolutions(base)).tanh()
    torch.testing.assert_close(generator(code), expected)
    assert generator(code).shape == (2, 3, 16, 16) and not hasattr(generator, "fully_connected")


def untrained(shape: tuple[int, ...] = (4, 3, 2)) -> MapDenoiser:
    torch.manual_seed(0)
    network = MapDenoiser(MapDenoiserConfig(code_shape=shape, width=16, blocks=2, heads=2))
    torch.nn.init.zeros_(network.last.bias)
    return network.eval()


def test_before_training_the_denoiser_of_maps_is_that_of_a_gaussian_of_each_unit() -> None:
    network, codes = untrained(), 3 + 2 * torch.randn(500, 4, 3, 2)
    network.fit(codes)
    mean, std, level = codes.mean(0), codes.std(0), torch.tensor([0.5, 2.0])
    expected = mean + (codes[:2] - mean) / (1 + level.reshape(2, 1, 1, 1) ** 2)
    torch.testing.assert_close(network.denoise(codes[:2], level), expected)
    assert network.mean.shape == std.shape == (4, 3, 2)


def test_training_learns_that_all_places_of_a_map_are_alike() -> None:
    """Codes whose places are equal: the mean over n places of the noisy code has noise s / sqrt(n), and is the better guess."""
    torch.manual_seed(0)
    codes = torch.randn(2000, 1, 1, 1).expand(-1, 2, 3, 3).contiguous()
    system = NoiseLevelSystem()
    network = MapDenoiser(MapDenoiserConfig(code_shape=(2, 3, 3), width=32, blocks=2, heads=2))
    network.fit(codes)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        system.loss(network, codes[torch.randint(2000, (64,))], torch.ones(64)).backward()
        optimizer.step()
    with torch.no_grad():
        clean = network.standardised(codes[:200])
        error = (network.denoise_standardised(clean + torch.randn_like(clean), 1.0) - clean).square().mean()
    assert float(error) < 0.2  # 1 / 19 at best; without the other places 1 / 2


def trained(system: Any, data: Any, *words: str) -> None:
    """What the script of the system does, in this process, which has imported everything already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train", "fit", *words, *FEW])
        training.train(system, data)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Path:
    """Pictures of two classes, and the bundle that the three commands make of them in a few updates."""
    folder = tmp_path_factory.mktemp("representation")
    torch.manual_seed(0)
    for name in ("church", "tench"):
        for number in range(8):
            smooth = interpolate(torch.rand(1, 3, 4, 4), (32, 32), mode="bilinear")[0]
            images.save_image(smooth, images.make_folder(folder / "pictures" / name) / f"{number}.png")
    data = ["--data.name", "folder", "--data.root", str(folder / "pictures"), "--data.image_size", "32", "--data.batch_size", "4"]
    run = ["--trainer.default_root_dir", str(folder / "runs" / "generator")]
    frozen = ["--model.encoder", "timm:test_vit", "--model.layer", "norm", "--model.maps", "[blocks.1]"]
    frozen += ["--model.encoder_weights", str(weights), "--model.encoder_size", str(SIDE)]
    trained(GeneratorSystem, ImageData, *frozen, *SIZES, *ADVERSARY, *data, *run)
    checkpoint = str(folder / "runs" / "generator" / "checkpoints" / "last.ckpt")
    run = ["--trainer.default_root_dir", str(folder / "runs" / "noise_level"), "--data.encoder", checkpoint]
    trained(NoiseLevelSystem, CodeData, "--model.map_network.width", "16", "--model.map_network.heads", "2", *data, *run)
    training.export(folder / "runs", "rae", folder / "rae")
    return folder


def test_the_bundle_holds_the_published_weights_as_they_are(room: Path, weights: Path) -> None:
    bundle = ppgn.load(room / "rae")
    assert set(bundle.parts) == {"encoder", "generator", "noise_level"} and bundle.code.shape == (64, 4, 4)
    kept, published = bundle.encoder.network.state_dict(), torch.load(weights, weights_only=True)
    assert kept.keys() == published.keys() and all(torch.equal(kept[key], published[key]) for key in kept)
    image = torch.rand(2, 3, 32, 32)
    assert torch.equal(bundle.encoder(image), frozen_encoder("timm:test_vit", Frozen("norm", weights=weights, size=SIDE))(image))
    assert bundle.generator(bundle.encoder(image)).shape == (2, 3, 32, 32)
    assert bundle.parts["noise_level"].before_relu(torch.randn(2, 64, 4, 4)).shape == (2, 64, 4, 4)


def test_one_command_each_samples_and_evolves(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(room)
    (room / "bright.py").write_text("def bright(image):\n    return 50 * image.mean((1, 2, 3))\n")
    words = ["--steps", "6", "--count", "2"]
    assert cli.main(["sample", "rae", "--condition", "bright.py:bright", *words, "--out", "bright.png"]) == 0
    assert cli.main(["sample", "rae", "--condition", "bright.py:bright", "--recipe", "tfg", *words, "--out", "tfg.png"]) == 0
    assert (
        cli.main(["evolve", "rae", "--score", "bright.py:bright", "--budget", "8", "--population", "4", "--out", "evolved"]) == 0
    )
    assert all((room / name).is_file() for name in ("bright.png", "tfg.png", "evolved/responses.csv"))


def test_the_reconstruction_prior_pulls_to_the_encoders_own_code(room: Path) -> None:
    bundle = ppgn.load(room / "rae")
    code = torch.randn(2, 64, 4, 4)
    prior = ppgn.priors.Reconstruction(bundle.encoder)
    with torch.no_grad():
        image = bundle.generator(code)
        torch.testing.assert_close(prior(code, image), bundle.encoder(image) - code)
    changes = {"sampler": "adaptive", "prior": "reconstruction", "step_size": 0.1, "prior_scale": 0.05, "bounds": "none"}
    made = ppgn.sample(bundle, lambda image: image.mean((1, 2, 3)), count=1, steps=3, start="mean", **changes)
    assert bool(made.images.isfinite().all())


def ten_scores(image: Tensor) -> Tensor:
    """Two "classes" of a judge made by hand: how much red and how much blue."""
    return 30 * torch.stack([image[:, 0].mean((1, 2)), image[:, 2].mean((1, 2))], 1)


class Colours(torch.nn.Module):
    """The judge as a network with a layer of features."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.head = torch.nn.AvgPool2d(8), torch.nn.Linear(3, 2, bias=False)
        self.head.weight.data = torch.tensor([[30.0, 0, 0], [0, 0, 30.0]])

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.pool(image).mean((2, 3)))


def colours() -> Any:
    return ppgn.probe.Preprocessed(Colours(), 32, 0.0, 1.0)


def test_evaluate_asks_for_and_judges_by_classes_of_a_network(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(room)
    monkeypatch.setattr(loaders, "class_names", lambda name, bundle=None: ("church", "tench"))
    (room / "judges.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT / 'tests')!r})\nfrom test_representation import colours\n"
    )
    words = ["evaluate", "rae", "--real", "pictures", "--network", "judges.py:colours", "--steps", "6", "--count", "4"]
    assert cli.main([*words, "--chain-steps", "0", "--out", "scored"]) == 0
    scores = json.loads((room / "scored" / "scores.json").read_text())
    assert scores["classes"] == ["church", "tench"] and scores["judge"]["held_out"] is False
    real = evaluation.class_folder("pictures", ("church", "tench"), (0, 1), 0, ppgn.load("rae").image)
    right = (ten_scores(real.load(range(len(real)))).argmax(1) == torch.tensor(real.classes)).float().mean()
    assert scores["real"]["accuracy"] == pytest.approx(float(right))
    assert scores["compared"]["samples"] == 8


def test_mistakes_are_sentences(room: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="without a layer, expected the one whose value is the code"):
        frozen_encoder("timm:test_vit", Frozen(weights=weights))
    with pytest.raises(ValueError, match="no class token: choose code 'map' or 'mean'"):
        frozen_encoder("timm:test_vit", Frozen("patch_embed", "class", weights=weights))
    with pytest.raises(ValueError, match="no layer 'blocks.99'"):
        frozen_encoder("timm:test_vit", Frozen("blocks.99", weights=weights))
    with pytest.raises(ValueError, match="got the encoder last.ckpt, a checkpoint, and settings of a published network"):
        training.encoder_and_classes("last.ckpt", Frozen("norm"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(room / "hub"))
    with pytest.raises(ValueError, match="not in the hub's cache and cannot be downloaded .* or name a file of weights"):
        frozen_encoder("timm:vit_small_patch14_dinov2.lvd142m", Frozen("norm"))
    with pytest.raises(ValueError, match="has no classes, expected some.*name a network"):
        evaluation.choose_classes(ppgn.load(room / "rae"), "all")
