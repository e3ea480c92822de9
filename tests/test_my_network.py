"""docs/my-network.md: each branch's check, run as it stands on the page, sees the fault and not the remedy."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torchvision import models

import ppgn
from ppgn import cli, loaders, requests
from ppgn.conditions import Unit
from ppgn.probe import Preprocessed, Probe

PAGE = (Path(__file__).parents[1] / "docs" / "my-network.md").read_text()
BRANCHES = ("train", "normalisation", "size", "dead", "frequencies", "step", "tokens", "batchnorm", "softmax")


def branch(name: str) -> str:
    return PAGE.split(f'<a id="{name}"></a>')[1].split('<a id="')[0]


def check(name: str, **given: Any) -> dict[str, Any]:
    """The names that the Python of a branch leaves, run with those given."""
    found = {"torch": torch, "ppgn": ppgn, "Probe": Probe, "Unit": Unit, **given}
    exec(
        compile("\n".join(re.findall(r"```python\n(.*?)```", branch(name), re.DOTALL)), f"docs/my-network.md#{name}", "exec"),
        found,
    )
    return found


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def pictures(count: int = 4, side: int = 32) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def test_the_page_has_a_branch_for_each_cause_with_symptom_check_and_remedy() -> None:
    assert tuple(re.findall(r'<a id="(\w+)"></a>', PAGE)) == BRANCHES
    for name in BRANCHES:
        assert "Symptom: " in branch(name) and "```python" in branch(name) and "Remedy: " in branch(name), name


def test_train_mode() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    assert check("train", network=network)["training"] == ["", "0", "1"]
    with pytest.raises(ValueError, match="3 modules in train mode"):
        Probe(network, "0")(pictures())
    Preprocessed(network, 32, 0.5, 0.25)
    assert check("train", network=network)["training"] == []


def test_normalisation() -> None:
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    red = pictures() * torch.tensor([1.0, 0.2, 0.4])[:, None, None]
    right = check("normalisation", network=network, seen=Preprocessed(network, None, (0.5, 0.1, 0.2), 0.2), pictures=red)
    assert abs(right["centre"]) < 0.2 and 0.5 < right["spread"] < 2
    for mean, std in (((123.7, 116.3, 103.5), (58.4, 57.1, 57.4)), (0.0, 1 / 255)):
        wrong = check("normalisation", network=network, seen=Preprocessed(network, None, mean, std), pictures=red)
        assert abs(wrong["centre"]) > 1.9
        assert wrong["spread"] < 0.2 or wrong["spread"] > 50


def test_the_order_of_channels() -> None:
    class Learned(nn.Module):
        """Sure where the first channel is the largest, as in the pictures that it learned, and unsure elsewhere."""

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            found = 9 * (image[:, 0] - image[:, 2]).mean((1, 2)).relu()
            return torch.stack([found, torch.zeros_like(found)], 1)

    network = Learned().eval()
    red = pictures() * torch.tensor([1.0, 0.2, 0.4])[:, None, None]
    for bgr in (False, True):
        seen = Preprocessed(network, None, 0.2, 0.5)
        sure = check("normalisation", network=network, seen=seen, pictures=red.flip(1) if bgr else red)["sure"]
        assert max(sure, key=sure.get) is bgr


def test_means_in_levels_are_refused_with_their_quotients(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "levels.py").write_text("from torch import nn\n\ndef network():\n    return nn.Conv2d(3, 2, 3)\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"divide both by 255, mean=\(0.4851, 0.4561, 0.4059\)"):
        loaders.network("levels.py:network", size=32, mean=(123.7, 116.3, 103.5), std=1.0)


def test_size() -> None:
    network = models.resnet18().eval()
    found = check("size", network=network, layer="layer4")
    assert found["sides"] == {64: 2, 224: 7}
    assert found["usual"].size == (224, 224)
    seen = Preprocessed(network, found["usual"].size, 0.5, 0.25)
    assert Probe(seen, "layer4")(pictures(1, 64))["layer4"].shape[-1] == 7


def test_a_dead_unit() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    with torch.no_grad():
        network[0].bias[1] = -50
    found = check("dead", network=network, layer="1", unit=1)["gradient"]
    assert float(found[None]) == 0 and float(found["before"]) > 0


def test_the_remedy_for_a_dead_unit_is_a_flag() -> None:
    given = cli.parse(["sample", "pixels:8", "--unit", "1:1", "--activation", "before"])
    assert given.activation == "before"
    bundle = loaders.bundle("pixels:16")
    with pytest.raises(ValueError, match="got activation without unit"):
        requests.parse(bundle, activation="before", class_="0")


def test_the_flag_reads_before_the_activation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "silent.py").write_text(
        "from torch import nn\n\ndef network():\n    made = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())\n"
        "    nn.init.constant_(made[0].bias, -50)\n    return made\n"
    )
    monkeypatch.chdir(tmp_path)
    bundle = loaders.bundle("pixels:16")
    plugged = requests.Plugged("silent.py:network", size=16, mean=0.0, std=1.0)
    request = requests.parse(bundle, unit="1:1", network=plugged, activation="before")
    value = request.condition(ppgn.probe.Passes({}))(pictures(1, 16))
    assert float(value) < -40
    assert request.describe()["activation"] == "before"


def test_frequencies() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 4, 3, stride=2)).eval()
    asked = ppgn.unit(Preprocessed(network, None, 0.5, 0.25), "2:1")
    high = {}
    for recipe in ("simonyan_2013", "lucid"):
        picture = ppgn.sample("pixels:32", asked, count=1, recipe=recipe, steps=20).images[0]
        high[recipe] = check("frequencies", picture=picture)["high"]
    assert high["simonyan_2013"] > 1.2 * high["lucid"]


def test_the_step() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Tanh(), nn.Conv2d(8, 4, 3), nn.Tanh(), nn.Conv2d(4, 4, 3)).eval()
    seen = Preprocessed(network, None, 0.5, 0.05)
    found = {}
    for size in (3.0, 0.01, 1e-6):
        given = {"recipe": "erhan_2009", "step_size": size, "steps": 20}
        found[size] = check("step", bundle="pixels:16", seen=seen, layer="4", unit=1, settings=given)
    assert found[3.0]["rises"] < 0.8 <= found[0.01]["rises"]
    moved = {size: one["values"][-1] - one["values"][0] for size, one in found.items()}
    assert moved[0.01] > 100 * abs(moved[1e-6])


def test_tokens() -> None:
    torch.manual_seed(0)
    network = models.VisionTransformer(32, 8, 3, 2, 12, 24).eval()
    nn.init.normal_(network.heads.head.weight)
    last = check("tokens", network=network, layer="encoder.layers.encoder_layer_2.mlp.0", pictures=pictures())["read"]
    assert last.tolist() == [True] + [False] * 16
    earlier = loaders.preset(network)
    assert earlier is not None and earlier.position == "mean"
    assert check("tokens", network=network, layer=earlier.layers[-1], pictures=pictures())["read"].all()


def test_batchnorm_without_its_statistics() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    assert check("batchnorm", network=network)["unset"] == ["1"]
    network(pictures())
    assert check("batchnorm", network=network.eval())["unset"] == []


def test_a_checkpoint_without_statistics_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "normed.py").write_text(
        "from torch import nn\n\ndef network():\n    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2))\n"
    )
    monkeypatch.chdir(tmp_path)
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2))
    torch.save(dict(network.named_parameters()), "weights.pth")
    with pytest.raises(ValueError, match=r"lacks 2 values \(first 1.running_mean\)"):
        loaders.network("normed.py:network", "weights.pth", size=8, mean=0.0, std=1.0)


def test_a_softmax_that_is_full() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()
    seen = Preprocessed(network, None, 0.0, 1.0)
    with torch.no_grad():
        network[3].bias.copy_(torch.tensor([30.0, 0.0, 0.0]))
    full = check("softmax", seen=seen, pictures=pictures(), target=0)
    assert full["probability"].min() > 0.999 and full["slopes"]["log_softmax"] < 1e-3 * full["slopes"]["logit"]
    other = check("softmax", seen=seen, pictures=pictures(), target=1)
    assert other["slopes"]["log_softmax"] > 0.1 * other["slopes"]["logit"]
