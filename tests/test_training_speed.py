"""What a step of the generator's training runs, counted; how long it takes is measured by benchmarks/training_speed.py."""

import os
import platform
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer

from ppgn.networks import Fc6Encoder, Fc6EncoderConfig, ImageGenerator, ImageGeneratorConfig
from training import DiscriminatorConfig, GeneratorSystem, ImageData, Optimisation, ProjectionDiscriminator, describe

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import training_speed  # noqa: E402

SMALL = ImageGeneratorConfig(hidden=(16,), base_channels=8, base_size=4, stages=((8, 8),))
SHALLOW = DiscriminatorConfig(widths=(8, 8), feature_width=8)
STEPS = 3


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = Fc6EncoderConfig(
        widths=(8, 8), depths=("block0",), channels=1, input_size=8, pool5_channels=8, pool5_size=2, reduce=0, code_size=12
    )
    path = tmp_path_factory.mktemp("encoder") / "last.ckpt"
    names = [str(digit) for digit in range(10)]
    torch.save({"ppgn": {"parts": {"encoder": describe(Fc6Encoder(config))}, "class_names": names}}, path)
    return path


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each network runs."""
    counted: Counter[str] = Counter()
    for network, method in ((Fc6Encoder, "maps"), (ImageGenerator, "forward"), (ProjectionDiscriminator, "forward")):
        original = getattr(network, method)

        def watched(*given: Any, original: Any = original, name: str = network.__name__) -> Any:
            counted[name] += 1
            return original(*given)

        monkeypatch.setattr(network, method, watched)
    return counted


def fit(system: GeneratorSystem, folder: Path, steps: int = STEPS, **changes: Any) -> None:
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = Trainer(
        default_root_dir=folder, max_epochs=1, limit_train_batches=steps, limit_val_batches=0, enable_checkpointing=False, **quiet
    )
    trainer.fit(system, datamodule=ImageData("digits", image_size=8, channels=1, batch_size=16, **changes))


def a_step(calls: Counter[str], system: GeneratorSystem, folder: Path) -> dict[str, int]:
    """Runs of each network in one step; every one of `STEPS` has the same."""
    calls.clear()
    before = system.training_step
    seen: list[Counter[str]] = []

    def step(batch: Any, batch_idx: int) -> None:
        earlier = Counter(calls)
        before(batch, batch_idx)
        seen.append(calls - earlier)

    system.training_step = step  # type: ignore[method-assign]
    fit(system, folder)
    assert len(seen) == STEPS and all(one == seen[0] for one in seen)
    return dict(seen[0])


@pytest.mark.parametrize(("kept", "trunks"), [(None, 2), ("bfloat16", 1)])
def test_a_step_runs_the_trunk_twice_and_once_with_kept_features(
    kept: Any, trunks: int, checkpoint: Path, calls: Counter[str], tmp_path: Path
) -> None:
    system = GeneratorSystem(checkpoint, SMALL, SHALLOW, cache_features=kept)
    assert a_step(calls, system, tmp_path) == {"Fc6Encoder": trunks, "ImageGenerator": 1, "ProjectionDiscriminator": 2}


def test_the_bare_loop_of_the_benchmark_judges_real_and_made_apart(checkpoint: Path, calls: Counter[str]) -> None:
    system = GeneratorSystem(checkpoint, SMALL, SHALLOW)
    step = training_speed.bare_step(system, [torch.rand(4, 1, 8, 8)])
    calls.clear()
    step()
    assert dict(calls) == {"Fc6Encoder": 2, "ImageGenerator": 1, "ProjectionDiscriminator": 3}


def test_no_weight_of_the_encoder_gets_a_gradient_and_no_hook_is_left(checkpoint: Path, tmp_path: Path) -> None:
    system = GeneratorSystem(checkpoint, SMALL, SHALLOW, cache_features="float32")
    fit(system, tmp_path)
    assert all(weight.grad is None and not weight.requires_grad for weight in system.encoder.parameters())
    hooks = [len(module._forward_hooks) + len(module._backward_hooks) for module in system.modules()]
    assert sum(hooks) == 0


@pytest.mark.parametrize(("clip", "fused"), [(0.0, True), (0.5, False)])
def test_adam_is_one_kernel_unless_gradients_are_clipped(clip: float, fused: bool, checkpoint: Path) -> None:
    system = GeneratorSystem(checkpoint, SMALL, SHALLOW, optimisation=Optimisation(gradient_clip=clip))
    system.generator, system.discriminator = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    assert [optimizer.param_groups[0]["fused"] for optimizer in system.configure_optimizers()] == [fused, fused]


FAULTS = """
import resource, torch
from ppgn.acceleration import keep_freed_memory

def step():
    wave = [torch.ones(2**21) for _ in range(8)]  # 8 MiB each, 2,048 pages of 4 KiB

def faults():
    for _ in range(3):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

plain = faults()
assert keep_freed_memory()
print(plain, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator of another libc is left alone")
def test_memory_that_is_kept_is_not_asked_of_the_system_again() -> None:
    settled = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(2**20)}  # else it moves, and what is kept anyway is chance
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True, cwd=ROOT, env=settled)
    plain, kept = map(int, done.stdout.split())
    assert plain > 1000  # else the test shows nothing
    assert kept < plain / 100
