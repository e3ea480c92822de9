"""The bundle in the repository: it samples every class, in time and memory, and a wheel carries it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import ppgn
from ppgn import recipes
from ppgn.samplers import ReleasedLangevin

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def bundle() -> ppgn.Bundle:
    return ppgn.load("imagenette64")


def test_the_shipped_bundle_is_at_most_eighty_megabytes() -> None:
    assert sum(file.stat().st_size for file in (ROOT / "checkpoints" / "imagenette64").iterdir()) <= 80e6


def test_the_shipped_bundle_has_the_parts_of_every_recipe_and_settings_for_plugged_conditions(bundle: ppgn.Bundle) -> None:
    assert recipes.runnable(bundle) == tuple(recipes.PAPERS)
    assert isinstance(recipes.recipe_for(bundle, "plugged").sampler, ReleasedLangevin)
    for name in ("ppgn_x", "joint_ppgn_h"):
        assert ppgn.sample(bundle, "church", count=1, steps=2, recipe=name).images.isfinite().all()


def test_the_shipped_bundle_samples_all_ten_classes(bundle: ppgn.Bundle) -> None:
    samples = ppgn.sample(bundle, list(range(10)) * 2, seed=[0] * 10 + [1] * 10)
    assert samples.images.shape == (20, 3, 64, 64)
    found = bundle.encoder.logits_from_code(bundle.encoder(samples.images)).argmax(1)
    right = (found == torch.arange(10).repeat(2)).unflatten(0, (2, 10))
    assert int(right.sum()) >= 16
    assert bool(right.any(0).all())  # every class at least once
    assert float(samples.images.std((2, 3)).mean()) > 0.05  # pictures, not flat grey
    apart = (samples.images[:10] - samples.images[10:]).abs().mean((1, 2, 3))
    assert float(apart.min()) > 0.01  # another seed, another picture


def test_its_parts_its_scores_and_its_settings_are_written_beside_the_weights(bundle: ppgn.Bundle) -> None:
    assert bundle.denoiser is not None
    assert recipes.recipe_for(bundle).steps >= 1
    told = json.loads((ROOT / "checkpoints" / "imagenette64" / "bundle.json").read_text())
    assert told["licence"]
    assert told["training"]["generator"]["model"]
    assert told["scores"]
    assert "/work" not in json.dumps(told)
    assert "/tmp" not in json.dumps(told)


def test_products64_is_asked_for_a_type_and_a_colour() -> None:
    """Blue shirts come out bluer than red, and red ones redder than blue, as the encoder and any eye can tell."""
    products = ppgn.load(ROOT / "checkpoints" / "products64")
    assert list(products.class_groups) == ["type", "colour"]
    wanted = ["type:Shirts & colour:Blue", "type:Shirts & colour:Red"]
    blue, red = (ppgn.sample(products, one, count=2, steps=30, draws=10).images for one in wanted)
    redness = [float((made[:, 0] - made[:, 2]).mean()) for made in (blue, red)]
    assert redness[0] < 0 < redness[1]
    told = json.loads((ROOT / "checkpoints" / "products64" / "bundle.json").read_text())
    assert {"noise_level", "classifier"} <= set(told["parts"])
    assert "/work" not in json.dumps(told) and "/tmp" not in json.dumps(told)


def test_its_denoiser_brings_noisy_codes_closer(bundle: ppgn.Bundle) -> None:
    assert bundle.denoiser is not None
    clean = bundle.encoder(ppgn.sample(bundle, list(range(10)), steps=20).images)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)) * 0.27 * clean.std()
    before, after = noise.norm(dim=1), (bundle.denoiser(clean + noise) - clean).norm(dim=1)
    assert float(after.mean()) < float(before.mean())


@pytest.mark.alone
@pytest.mark.slow
def test_sixteen_chains_of_two_hundred_steps_take_ninety_seconds_and_two_gigabytes_at_most(tmp_path: Path) -> None:
    script = ROOT / "benchmarks" / "sample_cost.py"
    done = subprocess.run([sys.executable, str(script), "--json"], capture_output=True, text=True, check=True, cwd=tmp_path)
    told = json.loads(done.stdout)
    assert told["seconds"] < 90
    assert told["peak_gigabytes"] < 2


@pytest.mark.slow
def test_a_wheel_built_from_the_repository_samples_outside_the_checkout(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    wheel = next(tmp_path.glob("ppgn-*.whl"))
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--quiet",
        "--target",
        str(tmp_path / "site"),
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True)
    code = (
        "import ppgn, sys; from ppgn.cli import main; print(ppgn.__file__);"
        "sys.exit(main(['sample', 'imagenette64', '--class', 'church', '--count', '1', '--steps', '1', '--out', 'c.png']))"
    )
    (tmp_path / "elsewhere").mkdir()
    environment = {"PYTHONPATH": str(tmp_path / "site"), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path / "elsewhere", env=environment
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "site") in done.stdout
    assert (tmp_path / "elsewhere" / "c.png").is_file()
