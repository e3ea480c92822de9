"""Files of weights as they are found: under prefixes, nested, misnamed, with another head, or no weights at all."""

import logging
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models

from ppgn import loaders

NAME = "torchvision:squeezenet1_1"
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    torch.manual_seed(0)
    return models.squeezenet1_1().state_dict()


def under(prefix: str, state: State) -> State:
    return {f"{prefix}{key}": value for key, value in state.items()}


def loaded(file: Path) -> State:
    return loaders.network(NAME, file).network.state_dict()


def same(found: State, state: State) -> bool:
    return found.keys() == state.keys() and all(torch.allclose(found[key], state[key]) for key in state)


@pytest.mark.parametrize("prefix", ["model.", "module.", "_orig_mod.", "backbone.", "module.model.", "model._orig_mod.backbone."])
def test_the_prefixes_of_wrappers_are_removed(prefix: str, state: State, tmp_path: Path) -> None:
    torch.save(under(prefix, state), tmp_path / "file.pth")
    assert same(loaded(tmp_path / "file.pth"), state)


def test_what_stands_beside_the_network_is_left_out_and_named(
    state: State, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.save({"state_dict": {**under("model.", state), "loss.weight": torch.ones(3)}}, tmp_path / "file.ckpt")
    assert same(loaded(tmp_path / "file.ckpt"), state)
    assert "under 'model.', and not 1 others (loss.weight)" in caplog.text


def test_a_network_with_such_a_name_of_its_own_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_prefix.py").write_text(
        "from torch import nn\n"
        "class Own(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.backbone, self.model = nn.Conv2d(3, 4, 1), nn.Linear(4, 2)\n"
        "def make():\n    return Own()\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    state = {"backbone.weight": torch.ones(4, 3, 1, 1), "backbone.bias": torch.ones(4)}
    state |= {"model.weight": torch.ones(2, 4), "model.bias": torch.ones(2)}
    torch.save(under("module.", state), "file.pth")
    assert same(loaders.network("own_prefix:make", "file.pth", 8, 0.0, 1.0).network.state_dict(), state)


@pytest.mark.parametrize("key", ["state_dict", "model", "module", "model_state_dict", "state_dict_ema"])
def test_nested_weights_are_unpacked_and_it_is_said(
    key: str, state: State, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.save({key: state, "epoch": 3, "optimizer": {"state": {}}}, tmp_path / "file.pth")
    with caplog.at_level(logging.WARNING, "ppgn"):
        assert same(loaded(tmp_path / "file.pth"), state)
    assert f"file.pth: took the weights under {key}" in caplog.text


def test_of_several_nested_weights_one_is_taken_and_the_others_are_named(
    state: State, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = {key: value + 1 for key, value in state.items()}
    torch.save({"state_dict_ema": other, "state_dict": {"model": state}}, tmp_path / "file.pth")
    assert same(loaded(tmp_path / "file.pth"), state)
    assert "took the weights under state_dict (not state_dict_ema).model" in caplog.text


@pytest.mark.parametrize(
    ("name", "head"), [("resnet18", "fc"), ("squeezenet1_1", "classifier.1"), ("mobilenet_v2", "classifier.1")]
)
def test_a_head_of_another_size_takes_the_place_of_the_networks_own(
    name: str, head: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trained = models.get_model(name, num_classes=10).eval()
    torch.save(trained.state_dict(), tmp_path / "ten.pth")
    seen = loaders.network(f"torchvision:{name}", tmp_path / "ten.pth")
    image = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(seen(image), trained(seen.prepare(image)), rtol=1e-3, atol=1e-4)
    assert f"its head {head} has 10 outputs" in caplog.text


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
@pytest.mark.parametrize("auxiliary", [True, False])
def test_auxiliary_heads_may_be_in_the_file_or_not(name: str, auxiliary: bool, tmp_path: Path) -> None:
    with torch.device("meta"):
        described = models.get_model(name, aux_logits=auxiliary, init_weights=False).state_dict()
    state = {key: torch.zeros(value.shape, dtype=value.dtype) for key, value in described.items()}
    state["fc.bias"] = torch.arange(1000.0)
    save_file(state, tmp_path / "file.safetensors")
    found = loaders.network(f"torchvision:{name}", tmp_path / "file.safetensors").network.state_dict()
    assert torch.equal(found["fc.bias"], state["fc.bias"])


def test_the_kind_of_a_file_is_seen_by_its_content(state: State, tmp_path: Path) -> None:
    save_file({key: value.contiguous() for key, value in state.items()}, tmp_path / "file.pt")
    torch.save(state, tmp_path / "file.safetensors")
    assert same(loaded(tmp_path / "file.pt"), state)
    assert same(loaded(tmp_path / "file.safetensors"), state)


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\n<!DOCTYPE html>\n<html><body>Sign in</body></html>", "is a web page, .*download the file itself"),
        (b"<html>\n<head><title>404</title></head></html>", "is a web page"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
            "is a Git LFS pointer.*run `git lfs pull`",
        ),
        (b"", "is empty"),
        (b"hello", "cannot be read|holds more than tensors"),
    ],
)
def test_what_is_downloaded_in_place_of_weights_is_named(content: bytes, said: str, ending: str, tmp_path: Path) -> None:
    (tmp_path / f"file.{ending}").write_bytes(content)
    with pytest.raises(ValueError, match=said) as raised:
        loaders.read_weights(tmp_path / f"file.{ending}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [nn.Linear(2, 2), {"model": nn.Linear(2, 2)}, {"weight": Path("x")}])
def test_no_message_recommends_what_no_option_offers(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "file.pth")
    with pytest.raises(ValueError, match="can run code") as raised:
        loaders.read_weights(tmp_path / "file.pth")
    assert "trust" not in str(raised.value)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_scripted_network_in_place_of_weights_is_one_sentence(tmp_path: Path) -> None:
    torch.jit.script(nn.Linear(2, 2)).save(tmp_path / "file.pt")
    with pytest.raises(ValueError, match="open it by torch.jit.load in a function of yours") as raised:
        loaders.read_weights(tmp_path / "file.pt")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda one: one * torch.nan, "^{file}: classifier.1.bias holds NaN, expected finite numbers"),
        (lambda one: one + torch.inf, "^{file}: classifier.1.bias holds infinity, expected finite numbers"),
        (
            lambda one: one.to(torch.int8),
            "^{file} does not fit .* has whole numbers in place of 1 values",
        ),
    ],
)
def test_weights_that_are_no_numbers_are_named_with_their_file(wrong: Any, said: str, state: State, tmp_path: Path) -> None:
    file = tmp_path / "file.pth"
    torch.save({**state, "classifier.1.bias": wrong(state["classifier.1.bias"])}, file)
    with pytest.raises(ValueError, match=said.format(file=re.escape(str(file)))):
        loaded(file)


def test_infinity_in_a_mask_beside_the_weights_is_kept(tmp_path: Path) -> None:
    torch.save({"mask": torch.tensor([0.0, -torch.inf])}, tmp_path / "file.pth")
    assert loaders.read_weights(tmp_path / "file.pth")["mask"][1] == -torch.inf
