"""State dicts of the generators' PyTorch ports against the port's own class, with the same random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from caffe_files import write_prototxt
from caffe_pairs import write_network, write_pair
from caffe_topologies import fc_generator, pool5_generator
from safetensors.torch import save_file
from torch import Tensor, nn

from ppgn import cli, load
from ppgn.caffe import CaffeGenerator, CaffeGeneratorConfig, read_definition
from ppgn.importers import read_state

RGB_MEAN = torch.tensor([122.679, 116.669, 104.006]).reshape(1, 3, 1, 1)
WIDTH = 16


def thin(text: str, folder: Path) -> CaffeGenerator:
    """A generator as released but `WIDTH` times narrower, from its definition, with random weights."""
    part = CaffeGenerator(CaffeGeneratorConfig(read_definition(write_prototxt(folder / "thin.prototxt", text))))
    generator = torch.Generator().manual_seed(0)
    for weights in part.parameters():
        weights.data = 0.1 * torch.randn(weights.shape, generator=generator)
    return part.requires_grad_(False)


def state_of(part: CaffeGenerator, names: dict[str, str] | None = None) -> dict[str, Tensor]:
    """A generator's weights under the names of upconvGAN's G."""
    state = {key.removeprefix("network.layers."): value for key, value in part.state_dict().items()}
    return {
        ".".join([(names or {}).get(layer, layer), kind]): value
        for key, value in state.items()
        for layer, kind in [key.split(".")]
    }


POOL5_NAMES = {"conv6_1": "Rconv6", "conv6_2": "Rconv7", "conv6_3": "Rconv8"}


@pytest.mark.parametrize("name", ["fc6", "fc7", "fc8", "pool5"])
def test_the_picture_is_that_of_torch_lucents_own_generator(name: str) -> None:
    gan = pytest.importorskip("lucent.optvis.param.gan", reason="pip install --no-deps torch-lucent")
    torch.manual_seed(0)
    peer = gan.upconvGAN(name, pretrained=False).eval().requires_grad_(False)
    for layer in peer.G:  # torch's own first weights leave the last maps at the biases
        if hasattr(layer, "weight"):
            nn.init.kaiming_normal_(layer.weight, a=0.3)
    made = read_state(peer.state_dict())
    code = torch.rand(2, *made.code_shape)
    expected = (peer(code) + RGB_MEAN) / 255
    torch.testing.assert_close(made(code), expected, rtol=0, atol=1e-5 * float(expected.abs().max()))
    assert made(code).shape == (2, 3, 256, 256)


@pytest.mark.parametrize(("text", "names"), [(fc_generator(WIDTH), {}), (pool5_generator(WIDTH), POOL5_NAMES)])
def test_a_state_dict_is_the_network_of_the_released_definition(text: str, names: dict[str, str], tmp_path: Path) -> None:
    released = thin(text, tmp_path)
    made = read_state(state_of(released, names))
    code = torch.rand(2, *released.code_shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(made(code), released(code))


@pytest.mark.parametrize("change", [lambda key: f"G.{key}", lambda key: key.replace(".", ".1.") if "conv" in key else key])
def test_both_ways_of_writing_its_keys_are_read(change: Any, tmp_path: Path) -> None:
    state = state_of(thin(fc_generator(WIDTH), tmp_path))
    code = torch.ones(1, 4096 // WIDTH)
    assert torch.equal(read_state({change(key): value for key, value in state.items()})(code), read_state(state)(code))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop("deconv0.bias"), "lacks deconv0.bias"),
        (lambda state: state.update(extra=torch.ones(1)), "has extra, expected the 24 values"),
        (lambda state: state.update({"conv5_1.weight": torch.ones(3, 3, 3, 3)}), "layer 'conv5_1' got blobs"),
    ],
)
def test_another_layout_is_refused_in_one_sentence(change: Any, said: str, tmp_path: Path) -> None:
    state = state_of(thin(fc_generator(WIDTH), tmp_path))
    change(state)
    with pytest.raises(ValueError, match=said):
        read_state(state)


@pytest.mark.parametrize("file", ["upconvGAN_fc6.pt", "upconvGAN_fc6.safetensors"])
def test_the_command_writes_the_bundle_that_caffes_files_give(file: str, tmp_path: Path) -> None:
    generator, encoder = write_pair(tmp_path)
    both = [["import-caffe", "--generator", *generator], ["import-deepsim", str(tmp_path / file)]]
    assert cli.main([*both[0], "--encoder", *encoder, "--out", str(tmp_path / "caffe")]) == 0
    state = state_of(load(tmp_path / "caffe").generator)
    state = {key: value.contiguous() for key, value in state.items()}
    save_file(state, tmp_path / file) if file.endswith("safetensors") else torch.save(state, tmp_path / file)
    assert cli.main([*both[1], "--encoder", *encoder, "--out", str(tmp_path / "port")]) == 0
    code = torch.rand(2, 4096 // WIDTH, generator=torch.Generator().manual_seed(0))
    assert torch.equal(load(tmp_path / "port").generator(code), load(tmp_path / "caffe").generator(code))


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("unpickled",)


def test_a_file_that_would_run_code_is_not_unpickled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encoder = write_network(tmp_path, "unused", fc_generator(WIDTH))
    torch.save({"defc7.weight": Evil()}, tmp_path / "evil.pt")
    assert cli.main(["import-deepsim", str(tmp_path / "evil.pt"), "--encoder", *encoder, "--out", str(tmp_path / "port")]) == 2
    told = capsys.readouterr()
    assert "evil.pt holds more than tensors" in told.err
    assert "unpickled" not in told.out
    assert not (tmp_path / "port").exists()
