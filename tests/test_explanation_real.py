"""Real pictures of a report, and maps of where a response comes from, against closed forms and loops by hand."""

import importlib
import json
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ppgn import explanation, requests
from ppgn.probe import Passes, Preprocessed
from ppgn.types import ImageSpec

study, target, real, where, attribution = (
    importlib.import_module(f"ppgn.explanation.{name}") for name in ("study", "target", "real", "where", "attribution")
)

SIDE = 16
GUIDED, DECONVOLUTION = "guided backpropagation", "deconvolution"


def no_passes() -> Passes:
    return Passes({})


def of_unit(network: nn.Module, address: str, size: Any = None, measure: str = "activation") -> Any:
    seen = Preprocessed(network, size, 0.0, 1.0)
    asked = requests.unit(seen, address, measure=measure)
    return target.target_of(asked, seen, torch.rand(2, 3, SIDE, SIDE), no_passes)


def of_function(function: Callable[[Tensor], Tensor]) -> Any:
    return target.target_of(requests.function(function), None, torch.rand(1, 3, SIDE, SIDE), no_passes)


def make_study(made: Any, values: Tensor, **options: Any) -> Any:
    """A study of pictures `[picture, channel, height, width]` of whole numbers up to 255."""
    files = tuple(f"{index}.png" for index in range(len(values)))
    pictures = study.Pictures(files, torch.zeros(len(values), dtype=torch.int64), values.to(torch.uint8))
    _, channels, height, width = values.shape
    bundle = SimpleNamespace(device=torch.device("cpu"), image=ImageSpec(height, width, channels=channels))
    responses = made.measured(pictures.images())
    return study.Study(bundle, made, pictures, responses, None, None, {}, study.ExplainOptions(**options))


def run(part: Callable[..., Any], given: Any, *arguments: Any) -> tuple[Any, int]:
    """A part, whose data must be JSON, and the number of passes that it told."""
    told: list[int] = []
    found = part(given, *arguments, told.append)
    assert json.loads(json.dumps(found.data, allow_nan=False)) == found.data
    return found, sum(told)


def noise(count: int, height: int = SIDE, width: int = SIDE) -> Tensor:
    return torch.randint(0, 256, (count, 3, height, width), generator=torch.Generator().manual_seed(0))


def bright_at(*places: tuple[int, int]) -> Tensor:
    """Black pictures with one white pixel each."""
    values = torch.zeros(len(places), 3, SIDE, SIDE)
    for picture, (row, column) in enumerate(places):
        values[picture, :, row, column] = 255
    return values


def sums(depth: int) -> nn.Sequential:
    """Convolutions of 3 x 3 with the weight 1 and one channel."""
    layers = [nn.Conv2d(1 if index else 3, 1, 3, padding=1, bias=False) for index in range(depth)]
    for layer in layers:
        nn.init.ones_(layer.weight)
    return nn.Sequential(*layers)


def test_distribution_is_numpys_and_the_shown_pictures_are_the_highest_and_those_around_the_median() -> None:
    values = torch.arange(101).flip(0)[:, None, None, None].expand(-1, 3, SIDE, SIDE)
    given = make_study(of_function(lambda image: (image.mean((1, 2, 3)) * 255 - 10).clamp(min=0)), values, top=3)
    part, told = run(real.real, given)
    data, responses = part.data, given.responses.double().numpy()
    assert told == real.passes(given) == 3 * 6
    assert data["percentiles"] == {str(at): pytest.approx(np.percentile(responses, at)) for at in (1, 5, 25, 50, 75, 95, 99)}
    assert [data[name] for name in ("mean", "std", "least", "most")] == pytest.approx([responses.mean(), given.std, 0, 90])
    assert data["count"] == 101 and data["zero_share"] == (responses == 0).mean()
    counts, edges = np.histogram(responses, len(data["histogram"]["counts"]))
    assert 20 <= len(counts) <= 40
    assert data["histogram"] == {"edges": edges.tolist(), "counts": counts.tolist()}
    assert [row["file"] for row in data["top"]] == ["0.png", "1.png", "2.png"]
    assert [row["file"] for row in data["median"]] == ["49.png", "50.png", "51.png"]
    assert set(part.pictures) == {row[key] for row in data["top"] + data["median"] for key in ("picture", "patch")}
    assert part.pictures["top_1"].getpixel((0, 0)) == (99, 99, 99)


def test_responses_that_are_not_finite_are_counted_but_not_shown() -> None:
    values = noise(4)
    values[0] = 0
    dark = of_function(lambda image: image.mean((1, 2, 3)).log())
    data = run(real.real, make_study(dark, values))[0].data
    assert data["count"] == 4 and len(data["top"]) == len(data["median"]) == 3 and data["least"] > -10
    data = run(real.real, make_study(dark, values[:1]))[0].data
    assert data["count"] == 1 and data["mean"] is None and data["top"] == [] and data["receptive_field"] is None


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_field_of_convolutions_is_centred_on_the_peak_and_the_shortest_that_holds_its_share(depth: int) -> None:
    part, _ = run(real.real, make_study(of_unit(sums(depth), f"{depth - 1}:0"), bright_at((8, 7), (5, 10)), top=2))
    kernel = np.ones(1)
    for _ in range(depth):
        kernel = np.convolve(kernel, np.ones(3))
    mass = kernel**2 / (kernel**2).sum()
    size = min(n for n in range(1, len(mass) + 1) if np.convolve(mass, np.ones(n)).max() >= 0.9)
    for row in part.data["top"]:
        top, left, height, width = row["box"]
        assert height == width == size <= 2 * depth + 1
        assert abs(top + height / 2 - row["peak"][0] - 0.5) <= 0.5 and abs(left + width / 2 - row["peak"][1] - 0.5) <= 0.5
    assert part.data["receptive_field"] == {"height": size, "width": size, "share": 0.9, "pictures": 2}


def test_field_of_a_linear_response_is_the_smallest_box_of_its_squared_weights() -> None:
    weight = torch.zeros(3, SIDE, SIDE)
    weight[:, 3:6, 2:12] = 1.0  # 90 in all, 9 a column
    weight[0, 15, 15] = 0.5  # so that nine columns hold less than 0.9
    part, _ = run(real.real, make_study(of_function(lambda image: (image * weight).sum((1, 2, 3))), noise(4), top=1))
    (row,) = part.data["top"]
    assert (row["peak"], row["box"]) == (None, [3, 2, 3, 10])
    assert part.pictures[row["patch"]].size == (128, 38)
    inside = np.asarray(part.pictures[row["picture"]])[3:6, 2:12].mean()
    assert np.asarray(part.pictures[row["patch"]]).mean() == pytest.approx(inside, abs=12)


def test_a_unit_that_is_off_has_no_field() -> None:
    network = nn.Sequential(sums(1), nn.ReLU())
    nn.init.constant_(network[0][0].weight, -1.0)  # type: ignore[index]
    data = run(real.real, make_study(of_unit(network, "1:0"), noise(3), top=2))[0].data
    assert [(row["peak"], row["box"], row["patch"]) for row in data["top"]] == [(None, None, None)] * 2
    assert data["receptive_field"] is None and data["zero_share"] == 1


class Tokens(nn.Module):
    """Patches of 4 x 4 as tokens behind a class token, which is their mean."""

    def __init__(self) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 5))
        self.patches = nn.Conv2d(3, 5, 4, stride=4)
        self.last = nn.Identity()
        nn.init.ones_(self.patches.weight)

    def forward(self, image: Tensor) -> Tensor:
        patches = self.patches(image).flatten(2).mT
        return self.last(torch.cat([self.cls_token + patches.mean(1, keepdim=True), patches], 1))


@pytest.mark.parametrize(
    ("address", "peak", "box"),
    [("last:2", [2, 3], [8, 12, 4, 4]), ("last:2@1,2", [1, 2], [4, 8, 4, 4]), ("last:2@cls", None, [0, 0, 15, 15])],
)
def test_field_of_a_token_is_its_patch_and_that_of_the_class_token_the_picture(address: str, peak: Any, box: list[int]) -> None:
    given = make_study(of_unit(Tokens(), address, SIDE), bright_at((9, 14)), top=1)
    assert given.target.reading.grid(given.pictures.images()).shape == (1, 4, 4)
    row = run(real.real, given)[0].data["top"][0]
    assert (row["peak"], row["box"]) == (peak, box)


def tiny(inplace: bool = False) -> nn.Sequential:
    torch.manual_seed(0)
    first, second, third = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, stride=2), nn.Conv2d(6, 4, 3)
    return nn.Sequential(first, nn.ReLU(inplace), second, nn.ReLU(inplace), third)


class Functions(nn.Module):
    """The same network with its ReLUs as functions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (layer for layer in tiny() if isinstance(layer, nn.Conv2d))

    def forward(self, image: Tensor) -> Tensor:
        return self.third(functional.relu6(self.second(functional.relu(self.first(image)))))  # no value reaches 6


def shown_maps(network: nn.Module, address: str = "4:1") -> tuple[Any, Any, Tensor]:
    """The part, its study, and the pictures that it shows."""
    given = make_study(of_unit(network, address), noise(5, 16, 24), where=2)
    image = given.pictures.images(slice(0, 3))
    part, told = run(where.where, given, {"real": image, "from the prior": image[:1].flip(-1)})
    # Each picture: its response, gradients, and occlusion; and the ReLUs are counted.
    methods = 3 if part.data["relus"] else 1
    assert told == 3 * (1 + 3 * methods + 1 + 14 * 11) + 1 + 2 * (methods == 3)
    assert where.passes(given, 1) == 2 * (1 + 9 + 1 + 14 * 11) + 2
    return part, given, image[:2]


def assert_shows(part: Any, method: str, image: Tensor, values: Tensor) -> None:
    """The pictures of a method are the map over the grey picture as the docstring of `where` says."""
    for row, one, expected in zip(part.data["rows"], image, values.double().numpy(), strict=False):
        strength = np.clip(expected / np.percentile(np.abs(expected), 99), -1, 1)[..., None]
        colour = np.where(strength > 0, (0.86, 0.08, 0.10), (0.10, 0.30, 0.90))
        grey = one.double().numpy().mean(0)[..., None]
        wanted = 255 * (grey * (1 - np.abs(strength)) + colour * np.abs(strength))
        np.testing.assert_allclose(np.asarray(part.pictures[row["maps"][method]], float), wanted, atol=1.01)


@torch.no_grad()
def backward_by_hand(network: nn.Sequential, image: Tensor, unit: int, method: str) -> Tensor:
    """d mean(unit) / d image, where ReLUs hand on the positive part of the gradient: of all of it (deconvolution), or where the
    ReLU is on (guided backpropagation)."""
    values = [image]
    for layer in network:
        values.append(layer(values[-1]))
    gradient = torch.zeros_like(values[-1])
    gradient[:, unit] = 1 / values[-1][0, 0].numel()
    for layer, value in zip(reversed(list(network)), reversed(values[:-1]), strict=True):
        if isinstance(layer, nn.Conv2d):
            gradient = nn.grad.conv2d_input(value.shape, layer.weight, gradient, layer.stride, layer.padding)  # type: ignore[arg-type]
        else:
            gradient = gradient.clamp(min=0) if method == DECONVOLUTION else (gradient * (value > 0)).clamp(min=0)
    return gradient


def occluded_by_hand(given: Any, image: Tensor) -> Tensor:
    """The mean fall of the response over the windows of 3 x 5 pixels that cover a pixel, one and two pixels apart."""
    colour = (given.pictures.values.double().mean((0, 2, 3)) / 255).float()[:, None, None]
    fall, covers = torch.zeros(2, 16, 24), torch.zeros(16, 24)
    before = given.target.measured(image)
    for top in range(14):
        for left in range(0, 21, 2):  # the last one sticks out
            hidden = image.clone()
            hidden[:, :, top : top + 3, left : left + 5] = colour
            fall[:, top : top + 3, left : left + 5] += (before - given.target.measured(hidden))[:, None, None]
            covers[top : top + 3, left : left + 5] += 1
    return fall / covers


@pytest.mark.parametrize("inplace", [False, True])
def test_maps_are_the_gradient_the_guided_gradient_and_the_fall_under_windows(inplace: bool) -> None:
    network = tiny(inplace)
    part, given, image = shown_maps(network)
    assert part.data["methods"] == ["saliency", GUIDED, DECONVOLUTION, "occlusion"] and part.data["left_out"] == {}
    assert part.data["relus"] == 2
    assert [network[index].inplace for index in (1, 3)] == [inplace] * 2
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network)
    assert [row["name"] for row in part.data["rows"]] == ["real 1", "real 2", "from the prior 1"]
    assert [row["response"] for row in part.data["rows"][:2]] == pytest.approx(given.responses[:2].tolist())
    assert part.data["rows"][2]["maps"][GUIDED] == "from_the_prior_0_guided_backpropagation"
    wanted = {row["picture"] for row in part.data["rows"]} | {one for row in part.data["rows"] for one in row["maps"].values()}
    assert set(part.pictures) == wanted
    leaf = image.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network(leaf)[:, 1].mean((1, 2)).sum(), leaf)
    assert_shows(part, "saliency", image, gradient.abs().amax(1))
    for method in (GUIDED, DECONVOLUTION):
        assert_shows(part, method, image, backward_by_hand(tiny(), image, 1, method).abs().amax(1))
    assert_shows(part, "occlusion", image, occluded_by_hand(given, image))


def test_occlusion_of_a_linear_response_is_red_where_the_weight_is_positive_and_blue_where_it_is_negative() -> None:
    weight = torch.zeros(3, SIDE, SIDE)
    weight[:, :, :6], weight[:, :, 10:] = 1.0, -1.0
    values = torch.full((2, 3, SIDE, SIDE), 40.0)
    values[0] = 200.0  # brighter than the mean colour, so that hiding it darkens it
    given = make_study(of_function(lambda image: (image * weight).sum((1, 2, 3))), values, where=1)
    part, _ = run(where.where, given, {"real": given.pictures.images()})
    pixels = np.asarray(part.pictures["real_0_occlusion"], int)
    assert (pixels[:, :5, 0] > pixels[:, :5, 2]).all() and (pixels[:, 11:, 2] > pixels[:, 11:, 0]).all()
    assert part.data["relus"] == 0


def test_relus_that_are_functions_are_guided_too() -> None:
    part, _, image = shown_maps(Functions(), "third:1")
    assert part.data["relus"] == 2
    for method in (GUIDED, DECONVOLUTION):
        assert_shows(part, method, image, backward_by_hand(tiny(), image, 1, method).abs().amax(1))


def test_maps_of_one_picture_need_no_study() -> None:
    network, image = tiny(), noise(1, 16, 24).float() / 255
    made = of_unit(network, "4:1")
    found = explanation.maps(made, image)
    assert tuple(found) == explanation.METHODS
    assert all(values.shape == (1, 16, 24) and values.dtype == torch.float64 for values in found.values())
    with torch.no_grad():
        found = explanation.maps(made, image, [DECONVOLUTION, GUIDED])
    assert list(found) == [GUIDED, DECONVOLUTION]
    for method, values in found.items():
        torch.testing.assert_close(values.float(), backward_by_hand(network, image, 1, method).abs().amax(1))
    linear = of_function(lambda image: image.sum((1, 2, 3)))
    for colour, expected in ((None, 0.5), (torch.tensor([0.0, 0.1, 0.2]), 0.1)):  # the mean of what each pixel loses
        (values,) = explanation.maps(linear, torch.ones(1, 3, 16, 15), ["occlusion"], colour).values()
        torch.testing.assert_close(values, torch.full_like(values, 3 * 9 * (1 - expected)), atol=1e-3, rtol=0)  # 3 x 3


def test_deconvolution_passes_the_gradient_of_relus_that_are_off_or_full() -> None:
    network = Functions()
    for layer in (network.first, network.second):
        layer.weight.data.mul_(20)  # so that many values are above the 6 of relu6, where its gradient is 0
    plain = nn.Sequential(network.first, nn.ReLU(), network.second, nn.ReLU(), network.third)
    image = noise(2).float() / 255
    values = explanation.maps(of_unit(network, "third:1"), image, [DECONVOLUTION])[DECONVOLUTION]
    torch.testing.assert_close(values.float(), backward_by_hand(plain, image, 1, DECONVOLUTION).abs().amax(1))
    torch.testing.assert_close(values[0], values[1])  # what came in forward does not matter
    assert float(values.max()) > 0


def test_maps_are_left_out_without_relus_and_refuse_what_they_do_not_know() -> None:
    made, image = of_unit(tiny(), "0:1"), torch.rand(1, 3, SIDE, SIDE)
    assert list(explanation.maps(made, image)) == ["saliency", "occlusion"]
    assert explanation.maps(made, image, [GUIDED]) == {}
    for given, methods, said in (
        (image, ["guided"], "got the method 'guided' of maps, expected saliency, guided"),
        (image[0], ["saliency"], r"shape \(3, 16, 16\), expected"),
        (image[:0], ["saliency"], r"shape \(0, 3, 16, 16\), expected"),
    ):
        with pytest.raises(ValueError, match=said):
            explanation.maps(made, given, methods)


def test_heat_of_nothing_is_the_grey_picture_and_the_sign_shows_where_there_is_one() -> None:
    image, values = torch.rand(3, 4, 4), torch.zeros(4, 4)
    torch.testing.assert_close(explanation.heat(image, values, True), image.mean(0).expand(3, -1, -1))
    values[0, 0], values[1, 1] = 2.0, -2.0
    signed, unsigned = explanation.heat(image, values, True), explanation.heat(image, values, False)
    assert signed[:, 0, 0].tolist() == unsigned[:, 0, 0].tolist() == pytest.approx([0.86, 0.08, 0.10])
    assert signed[:, 1, 1].tolist() == pytest.approx([0.10, 0.30, 0.90])
    torch.testing.assert_close(unsigned[:, 1, 1], image[:, 1, 1].mean().expand(3))


def test_methods_that_need_relus_are_left_out_where_none_runs() -> None:
    network = tiny()
    assert shown_maps(network, "2:1")[0].data["relus"] == 1
    for part in (shown_maps(network, "0:1")[0], shown_maps(nn.Sequential(network[0], nn.SiLU(), network[2]), "2:1")[0]):
        assert part.data["methods"] == ["saliency", "occlusion"] and part.data["relus"] == 0
        assert list(part.data["left_out"]) == [GUIDED, DECONVOLUTION]
        assert all("ReLU" in reason for reason in part.data["left_out"].values())
        assert all(set(row["maps"]) == {"saliency", "occlusion"} for row in part.data["rows"])


def test_relus_are_found_behind_any_request() -> None:
    seen = Preprocessed(tiny(), None, 0.0, 1.0)
    parts = [requests.unit(seen, "4:1"), requests.direction(seen, "4", torch.ones(4))]
    asked = [(requests.weighted(parts, [1.0, -0.5]), 4), (requests.unit(seen, "4:1", measure="log_softmax"), 2)]
    for request, relus in asked:
        given = make_study(target.target_of(request, None, torch.rand(1, 3, SIDE, SIDE), no_passes), noise(2), where=1)
        assert run(where.where, given, {"real": given.pictures.images()})[0].data["relus"] == relus
    encoder = tiny()
    made = target.Target(
        requests.function(lambda image: encoder(image).mean((1, 2, 3))), None, lambda: Passes({"encoder": encoder})
    )
    given = make_study(made, noise(2), where=1)
    assert run(where.where, given, {"real": given.pictures.images()})[0].data["relus"] == 2


def test_no_picture_and_a_missing_captum_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    given = make_study(of_unit(tiny(), "4:1"), noise(2))
    assert run(where.where, given, {"synthetic": given.pictures.images(slice(0, 0))})[0].data["rows"] == []
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(ValueError, match=r"needs? captum, which is not installed: `pip install \"ppgn\[explain\]\"`, or leave"):
        where.where(given, {"real": given.pictures.images()}, lambda count: None)
