"""Random views: against torchvision, and as functions of (seed, step)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from ppgn import chain
from ppgn.objective import Objective, Term
from ppgn.priors import NoPrior
from ppgn.samplers import Langevin
from ppgn.views import RandomViews, WholePicture

SEEDS = (3, 8)


def pictures(height: int = 40, width: int = 40) -> Tensor:
    down, right = torch.linspace(0, 3, height)[:, None], torch.linspace(0, 4, width)[None]
    waves = [0.5 + 0.4 * torch.sin(2 * down + right * (1 + number)) for number in range(6)]
    return torch.stack(waves).reshape(2, 3, height, width)


@pytest.mark.parametrize("size", [(40, 40), (40, 56)])
def test_a_view_is_the_affine_transform_of_torchvision(size: tuple[int, int]) -> None:
    functional = pytest.importorskip("torchvision.transforms.v2.functional")
    view, image = RandomViews(smallest=0.7, largest=1.3, rotation=25.0, jitter=5), pictures(*size)
    seen, matrices = view(image, SEEDS, 4)[0], view.matrices(image, SEEDS, 4)[0]
    for row in range(2):
        height, width = size
        side = torch.linalg.det(matrices[row, :, :2]).sqrt()
        angle = math.degrees(math.atan2(float(matrices[row, 1, 0]) * height / width, float(matrices[row, 0, 0])))
        right, down = (matrices[row, :, 2] * torch.tensor([width, height]) / 2).tolist()
        assert 0.7 <= side <= 1.3 and abs(angle) <= 25 and max(abs(right), abs(down)) <= 5.0001
        # theirs maps the picture to the view: the centre moves by the inverse of what ours looks at
        turned = functional.affine(
            image[row] - 0.5, angle=0.0, translate=[-round(right), -round(down)], scale=1.0, shear=[0.0, 0.0],
            interpolation=functional.InterpolationMode.BILINEAR,
        )  # fmt: skip
        wanted = functional.affine(
            turned, angle=-angle, translate=[0, 0], scale=float(1 / side), shear=[0.0, 0.0],
            interpolation=functional.InterpolationMode.BILINEAR,
        )  # fmt: skip
        inside = (slice(None), slice(12, -12), slice(12, -12))
        torch.testing.assert_close(seen[row][inside], (wanted + 0.5)[inside], atol=2e-3, rtol=0)


def test_jitter_alone_moves_whole_pixels_and_shows_grey() -> None:
    image, view = pictures(), RandomViews(jitter=3)
    seen = view(image, SEEDS, 2)[0]
    for row in range(2):
        places = [
            (down, right)
            for down in range(-3, 4)
            for right in range(-3, 4)
            if torch.equal(seen[row, :, 3:-3, 3:-3], image[row, :, 3 + down : 37 + down, 3 + right : 37 + right])
        ]
        assert len(places) == 1
    image = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    moves = {tuple(view(image, (1,), step)[0, 0, 0, 20, 20:22].tolist()) for step in range(300)}
    assert len(moves) == 49
    assert bool((view(torch.ones(50, 3, 9, 9), range(50), 0)[..., 0] == 0.5).any())


def test_a_view_depends_on_its_chain_s_seed_and_the_step_alone() -> None:
    view, image = (
        RandomViews(count=2, jitter=2, smallest=0.8, largest=1.1, rotation=5, wander=0.1, noise=0.05, frame=3),
        pictures(),
    )
    both, second = view(image, SEEDS, 7)[1], view(image[1:], SEEDS[1:], 7)[1]
    assert both.shape == (2, 3, 46, 46)
    torch.testing.assert_close(both[1:], second, rtol=0, atol=1e-6)
    others = [view(image, SEEDS, 8)[1], view(image, SEEDS, 7)[0], view(image, (4, 9), 7)[1]]
    assert all(float((both - other).abs().mean()) > 0.01 for other in others)


def test_wandering_and_noise_have_their_spreads() -> None:
    image = pictures()[:1].expand(400, -1, -1, -1)
    centres = RandomViews(wander=0.15).matrices(image, range(400), 0)[0, :, :, 2] / 2
    assert centres.std() == pytest.approx(0.15, rel=0.1)
    noisy = RandomViews(noise=0.2)(image[:20], range(20), 0)[0] - image[:20]
    assert noisy.std() == pytest.approx(0.2, rel=0.02)


def test_the_chain_sees_views_and_scores_the_picture_and_resumes() -> None:
    seen: list[Tensor] = []

    def condition(image: Tensor) -> Tensor:
        seen.append(image)
        return image[:, 0, :10].mean((1, 2))

    view = RandomViews(count=3, jitter=4)
    objective = Objective(lambda code: code, NoPrior(), (Term("y", condition),), view=view)
    rule, code = Langevin(prior_scale=0.0, condition_scale=50.0), pictures()
    steps = list(chain.run(rule, objective, rule.init(code, SEEDS), 4))
    assert len(seen) == 12
    torch.testing.assert_close(seen[4], view(steps[1][1].image, SEEDS, 1)[1])
    torch.testing.assert_close(steps[1][1].log_prob, torch.stack([image[:, 0, :10].mean((1, 2)) for image in seen[3:6]]).mean(0))
    again = list(chain.run(rule, objective, steps[1][0], 2))
    torch.testing.assert_close(again[-1][0].code, steps[-1][0].code, rtol=0, atol=0)
    torch.testing.assert_close(objective.score(code), code[:, 0, :10].mean((1, 2)))


class Bright:
    """The brightness of one channel for each chain; it notes how many pictures it is shown."""

    def __init__(self, channels: Sequence[int], shown: list[int]) -> None:
        self.channels, self.shown = tuple(channels), shown

    def for_chains(self, chains: Sequence[int]) -> Bright:
        return Bright([self.channels[chain] for chain in chains], self.shown)

    def __call__(self, image: Tensor) -> Tensor:
        self.shown.append(len(image))
        return image[range(len(image)), list(self.channels), :10].square().mean((1, 2))


@pytest.mark.parametrize(("count", "shown"), [(3, [6]), (6, [8, 4])])
def test_views_go_together_through_a_condition_that_can_be_asked_for_any_chain(count: int, shown: list[int]) -> None:
    together, view = Bright([2, 0], []), RandomViews(count=count, jitter=4, noise=0.1)
    apart = Bright([2, 0], [])
    evaluations = [
        Objective(lambda code: code, NoPrior(), (Term("y", condition),), view=view).at_step(SEEDS, 5).evaluate(pictures())
        for condition in (together, lambda image: apart(image))
    ]
    assert together.shown == shown and apart.shown == [2] * count
    torch.testing.assert_close(evaluations[0].log_prob, evaluations[1].log_prob)
    torch.testing.assert_close(evaluations[0].gradient, evaluations[1].gradient)


def test_the_whole_picture_costs_nothing() -> None:
    objective = Objective(lambda code: code, NoPrior(), (), view=WholePicture())
    assert objective.at_step(SEEDS, 3) is objective


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"count": 0}, "views"),
        ({"smallest": 1.2, "largest": 1.1}, "expected 0 < smallest <= largest"),
        ({"smallest": 0.0}, "expected 0 < smallest"),
        ({"rotation": -1.0}, "rotation -1"),
        ({"noise": math.nan}, "noise nan"),
    ],
)
def test_views_that_cannot_be_are_refused(wrong: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        RandomViews(**wrong)
