"""A renderer as a generator: poses, meshes, pictures and their gradient, `render:NAME`, and the share of poses recognised."""

import copy
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from house import ROOT
from torch import Tensor, nn

import ppgn
from ppgn import cli, evaluation, loaders, renderer, requests
from ppgn.probe import Preprocessed
from ppgn.renderer import MeshGenerator, pose

BALL = """ply
format ascii 1.0
element vertex 3
property float x
property float y
property float z
property float r
property float g
property float b
element face 1
property list uchar int vertex_indices
end_header
0 0 0 1 0 0
4 0 0 1 0 0
0 2 0 1 0 0
3 0 1 2
"""


@pytest.fixture(scope="module")
def mitsuba() -> object:
    return pytest.importorskip("mitsuba", reason="the renderer needs mitsuba: pip install ppgn[render]")


@pytest.fixture(scope="module")
def bus(mitsuba: object) -> MeshGenerator:
    return MeshGenerator(renderer.OBJECTS["school_bus"](), 32)


def rotation(code: Tensor) -> Tensor:
    """From the object's coordinates to the camera's."""
    return renderer.view_of(code[None]).camera[0, :3, :3].T


def test_a_code_and_its_values_are_inverse_to_each_other_in_every_unit() -> None:
    given = {"yaw": -40.0, "pitch": 15.0, "roll": 170.0, "x": 0.25, "y": -0.5, "distance": 7.0, "lamp_azimuth": -120.0,
             "lamp_elevation": 80.0, "lamp_power": 2.0, "field_of_view": 30.0}  # fmt: skip
    assert renderer.values_of(pose(**given)) == pytest.approx(given, abs=1e-3)
    assert renderer.values_of(pose()) == pytest.approx(renderer.STANDARD, abs=1e-3)


def test_a_pose_outside_its_range_or_of_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"distance 11, expected 2\.5 to 10 radii"):
        pose(distance=11)
    with pytest.raises(ValueError, match="got 'tilt' of a pose, expected yaw, pitch"):
        pose(tilt=3)


def test_random_poses_are_spread_evenly_over_all_rotations_and_depend_on_the_seed_alone() -> None:
    codes = renderer.random_poses(range(2000), renderer.ROTATION)
    axes = torch.stack([rotation(code) for code in codes])
    # of a rotation from the Haar measure each column is uniform on the sphere: mean 0, second moment 1/3
    assert axes.mean(0).abs().max() < 4 / math.sqrt(3 * 2000)
    assert (axes.square().mean(0) - 1 / 3).abs().max() < 4 * math.sqrt(4 / 45 / 2000)
    assert torch.equal(renderer.random_poses([7], renderer.ROTATION)[0], codes[7])
    assert torch.equal(codes[:, 3:], pose()[3:].expand(2000, -1))


def test_yaw_pitch_and_roll_turn_the_object_as_they_say() -> None:
    front, up = torch.tensor([0.0, 0.0, 1.0]), torch.tensor([0.0, 1.0, 0.0])
    assert torch.allclose(rotation(pose(yaw=90)) @ front, torch.tensor([1.0, 0.0, 0.0]), atol=1e-6)
    assert torch.allclose(rotation(pose(pitch=90)) @ up, torch.tensor([0.0, 0.0, 1.0]), atol=1e-6)
    assert torch.allclose(rotation(pose(roll=90)) @ up, torch.tensor([-1.0, 0.0, 0.0]), atol=1e-6)


@pytest.mark.parametrize("name", renderer.OBJECTS)
def test_an_object_is_a_mesh_of_radius_one_about_the_middle(name: str) -> None:
    mesh = renderer.OBJECTS[name]().normalised()
    assert mesh.vertices.norm(dim=1).max() == pytest.approx(1, abs=1e-5)
    assert torch.allclose(mesh.vertices.amax(0), -mesh.vertices.amin(0), atol=1e-5)
    assert mesh.colours.min() >= 0 and mesh.colours.max() <= 1


def test_a_mesh_that_cannot_be_is_refused() -> None:
    points = torch.zeros(3, 3)
    with pytest.raises(ValueError, match="faces of vertices beyond the 3"):
        renderer.Mesh(points, torch.tensor([[0, 1, 3]]), points)
    with pytest.raises(ValueError, match="all vertices at one point"):
        renderer.Mesh(points, torch.tensor([[0, 1, 2]]), points).normalised()


def test_the_picture_of_a_code_is_the_same_alone_in_a_batch_in_a_copy_and_in_another_process(bus: MeshGenerator) -> None:
    codes = renderer.random_poses(range(3))
    pictures = bus(codes)
    assert pictures.shape == (3, 3, 32, 32) and pictures.std() > 0.05
    assert torch.equal(bus(codes[1:2])[0], pictures[1])
    assert torch.equal(copy.deepcopy(bus)(codes), pictures)
    code = (
        "import torch\nfrom ppgn import renderer\n"
        "bus = renderer.MeshGenerator(renderer.OBJECTS['school_bus'](), 32)\n"
        "print(bus(renderer.random_poses(range(3))).double().sum().item())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert float(done.stdout) == pytest.approx(pictures.double().sum().item(), abs=1e-3), done.stderr


def test_the_picture_shows_the_object_where_perspective_puts_it(mitsuba: object) -> None:
    ball = MeshGenerator(renderer.OBJECTS["soccer_ball"](), 64)
    codes = torch.stack([pose(distance=5), pose(distance=5, x=0.4, y=0.2), pose(distance=10)])
    background = ball(codes)[:, :, :1, :1]
    seen = ((ball(codes) - background).abs().amax(1) > 0.02).float()
    # a ball of radius 1 at distance d covers the tangent of asin(1/d) of half a picture, the tangent of 17.5 degrees
    for number, distance in ((0, 5), (2, 10)):
        radius = 32 * math.tan(math.asin(1 / distance)) / math.tan(math.radians(17.5))
        assert seen[number].sum() == pytest.approx(math.pi * radius**2, rel=0.08)
    rows, columns = seen[1].nonzero().double().mean(0)
    assert columns - 31.5 == pytest.approx(0.4 * 32, abs=1.5) and 31.5 - rows == pytest.approx(0.2 * 32, abs=1.5)


def test_light_grows_in_proportion_to_the_power_of_the_lamp(bus: MeshGenerator) -> None:
    first, second, third = bus.radiance(torch.stack([pose(lamp_power=power) for power in (2, 3, 4)]))
    assert torch.allclose(second - first, third - second, atol=1e-4) and (second - first).max() > 0.01


def test_codes_that_cannot_be_are_refused_clipped_or_become_pictures_of_nan(bus: MeshGenerator) -> None:
    bundle = loaders.renderer(renderer.OBJECTS["mug"](), 16)
    far = pose()[None] * 0 + 3
    with pytest.raises(ValueError, match="got 3 for pitch, expected -1 to 1: clip codes"):
        bus(far)
    clipped = bundle.code.clip(far)
    assert clipped[0, 0] == 3 and clipped[0, 1] == 1  # a turn has no end
    assert bundle.generator(clipped).isfinite().all()
    with pytest.raises(ValueError, match=r"code of shape \(2, 7\), expected \('chain', 10\)"):
        bus(torch.zeros(2, 7))
    mixed = bus(torch.stack([pose(), pose() * torch.nan]))
    assert mixed[0].isfinite().all() and mixed[1].isnan().all()


def test_the_gradient_agrees_with_wider_differences_of_many_rays(mitsuba: object) -> None:
    coarse, fine = (MeshGenerator(renderer.OBJECTS["mug"](), 64, samples) for samples in (64, 144))
    down, right = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
    weight = torch.stack([torch.cos(3 * right + down), torch.sin(2 * down - right), torch.cos(2 * right - down)])
    code = pose(yaw=-30, pitch=20).double()[None].requires_grad_()
    (found,) = torch.autograd.grad((coarse(code) * weight).sum(), code)
    for name in ("pitch", "x", "y", "distance", "lamp_power", "field_of_view"):
        step = 0.04 * torch.eye(10)[renderer.NAMES.index(name)].double()
        plus, minus = ((fine(code.detach() + sign * step) * weight).sum() for sign in (1, -1))
        expected = float(plus - minus) / 0.08
        assert float(found[0, renderer.NAMES.index(name)]) == pytest.approx(expected, rel=0.15, abs=40), (name, found)


def test_the_automatic_gradient_of_the_lamp_agrees_with_differences(mitsuba: object) -> None:
    convex = MeshGenerator(renderer.OBJECTS["soccer_ball"](), 32, gradient="automatic")  # throws no shadow on itself
    if renderer.variant() != "llvm_ad_rgb":
        code = pose()[None].requires_grad_()
        with pytest.raises(ValueError, match="needs Mitsuba's llvm_ad_rgb, got scalar_rgb"):
            torch.autograd.grad(convex(code).sum(), code)
        pytest.skip(f"no LLVM {renderer.LEAST_LLVM}: set DRJIT_LIBLLVM_PATH to its library")
    weight = torch.linspace(-1, 1, 32)[:, None] + torch.linspace(-1, 1, 32) ** 2
    found = []
    for gradient in renderer.GRADIENTS:
        convex.gradient = gradient
        code = pose(lamp_power=1)[None].requires_grad_()
        found.append(torch.autograd.grad((convex(code) * weight).sum(), code)[0][0])
    differences, automatic = found
    assert torch.equal(automatic[:6], differences[:6])
    for name in renderer.LAMP:
        number = renderer.NAMES.index(name)
        assert float(automatic[number]) == pytest.approx(float(differences[number]), rel=0.1, abs=0.5), name


def test_a_bundle_is_known_by_its_object_whatever_it_has_rendered(mitsuba: object) -> None:
    mug, again, pot = (loaders.bundle(f"render:{name}:16") for name in ("mug", "mug", "teapot"))
    mug.generator(renderer.random_poses([3]))
    assert requests.weights_of(mug) == requests.weights_of(again) != requests.weights_of(pot)


def test_the_generator_keeps_the_contract(bus: MeshGenerator) -> None:
    ppgn.checks.check_generator(bus, renderer.random_poses([0, 1]))


def test_a_renderer_leaves_the_variant_of_the_user(mitsuba: object, bus: MeshGenerator) -> None:
    import mitsuba as users

    before = users.variant()
    users.set_variant("scalar_rgb")
    bus(pose()[None])
    assert users.variant() == "scalar_rgb"
    users.set_variant(before)


def test_the_variant_without_llvm_renders_the_same_picture_but_for_noise(
    bus: MeshGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = bus(pose(yaw=-40, pitch=15)[None])
    slow = renderer.Scene(renderer.Mesh(bus.vertices, bus.faces, bus.colours), (32, 32), 16, "scalar_rgb")
    monkeypatch.setattr(MeshGenerator, "scene", property(lambda self: slow))
    code = pose(yaw=-40, pitch=15)[None].requires_grad_()
    assert (bus(code) - expected).abs().mean() < 0.02
    gradient = torch.autograd.grad(bus(code).sum(), code)[0]  # of differences, which need no LLVM
    assert gradient.isfinite().all() and gradient.abs().max() > 1
    monkeypatch.setattr(bus, "gradient", "automatic")
    with pytest.raises(ValueError, match="needs Mitsuba's llvm_ad_rgb, got scalar_rgb"):
        torch.autograd.grad(bus(code).sum(), code)


def test_a_file_is_read_with_its_colours_and_rendered(mitsuba: object, tmp_path: Path) -> None:
    (tmp_path / "mine.ply").write_text(BALL)
    mesh = renderer.read_mesh(tmp_path / "mine.ply")
    assert mesh.vertices.tolist() == [[0, 0, 0], [4, 0, 0], [0, 2, 0]] and mesh.faces.tolist() == [[0, 1, 2]]
    assert mesh.colours.tolist() == [[1, 0, 0]] * 3
    bundle = ppgn.loaders.bundle(f"render:{tmp_path / 'mine.ply'}:24")
    red, green, _ = bundle.generator(pose()[None])[0]
    assert bundle.image.shape == (3, 24, 24) and (red - green).max() > 0.3


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("render:horse", "expected render:OBJECT"),
        ("render:mug:large", "write render:school_bus"),
        ("render:nowhere.ply", "got the mesh 'nowhere.ply'"),
        ("render:mug:0", "expected sides of 1 to"),
    ],
)
def test_a_renderer_that_there_is_not_is_refused(mitsuba: object, spec: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loaders.bundle(spec)


class YellowOrNot(nn.Module):
    """Two classes: 0 where the middle of the picture is yellow, else 1."""

    def forward(self, image: Tensor) -> Tensor:
        middle = image[:, :, 12:20, 12:20].mean((2, 3))
        yellow = middle[:, 0] - middle[:, 2] - 0.2
        return 20 * torch.stack([yellow, -yellow], 1)


def yellow() -> Preprocessed:
    return Preprocessed(YellowOrNot(), 32, 0.0, 1.0)


def test_the_share_of_poses_is_that_of_the_pictures(bus: MeshGenerator) -> None:
    bundle = loaders.bundle("render:school_bus:32")
    judge = evaluation.JudgeSource("yellow", network=yellow(), classes=("yellow", "other"))
    found = evaluation.poses(bundle, "yellow", judge, count=12, map_size=(4, 3))
    codes = torch.cat([renderer.random_poses([0], renderer.ROTATION, number) for number in range(12)])
    shares = yellow()(bundle.generator(codes)).softmax(1)
    assert 0 < found.scores["recognised"] < 1
    assert found.scores["recognised"] == pytest.approx(float((shares[:, 0] > 0.5).float().mean()))
    assert found.scores["fooled"] == pytest.approx(1 - found.scores["recognised"])  # of two classes the other one is sure
    assert found.scores["mistakes"] == {"other": pytest.approx(found.scores["fooled"])}
    assert len(found.scores["maps"]["pitch"]["probability"]) == 3 and len(found.scores["maps"]["pitch"]["yaw"]) == 4
    corner = bundle.generator(pose(yaw=-180, pitch=90)[None])
    assert found.scores["maps"]["pitch"]["probability"][0][0] == pytest.approx(float(yellow()(corner).softmax(1)[0, 0]), abs=1e-5)
    low, high = found.scores["recognised_interval"]
    assert low < found.scores["recognised"] < high


def test_the_interval_of_a_share_is_wilsons() -> None:
    # Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20
    for count, total, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)):
        assert evaluation.interval(count, total) == pytest.approx((low, high), abs=5e-5)


MODULE = """
import torch
from test_renderer import yellow as net


def score(image):
    return image[:, 0].mean((1, 2))
"""


def test_sample_evolve_and_evaluate_run_from_one_command_each(
    mitsuba: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    Path("judged.py").write_text(MODULE)
    spec = "render:school_bus:32"
    sampled = ["sample", spec, "--network", "judged:net", "--class", "0", "--count", "1", "--steps", "2", "--draws", "2"]
    assert cli.main([*sampled, "--out", "bus.png"]) == 0 and Path("bus.png").is_file()
    pytest.importorskip("cma")
    assert cli.main(["evolve", spec, "--score", "judged:score", "--budget", "20", "--out", "run"]) == 0
    assert (Path("run") / "evolve.json").is_file()
    judged = ["evaluate", spec, "--judge", "judged:net", "--class", "0", "--out", "poses"]
    assert cli.main([*judged, "--count", "4"]) == 0
    assert "recognises" in capsys.readouterr().out
    scores = json.loads((Path("poses") / "poses.json").read_text())
    assert scores["count"] == 4 and {"index.html", "yaw_pitch.png", "yaw_distance.png"} <= {
        file.name for file in Path("poses").iterdir()
    }
    assert cli.main([*judged, "--real", "."]) == 2
    assert "got --real with a renderer, expected none" in capsys.readouterr().err
    assert cli.main(["evaluate", spec, "--class", "0"]) == 2
    assert "a renderer needs a network that knows its object" in capsys.readouterr().err


def test_an_evaluation_of_other_bundles_asks_for_real_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", "pixels:16"]) == 2
    assert "got no --real, expected a folder of real pictures" in capsys.readouterr().err
