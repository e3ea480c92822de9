"""Where chains begin: masked pictures, and the facets of a unit."""

import sys
from typing import Any

import pytest
import torch
from torch import Tensor

import ppgn
from ppgn import starts
from ppgn.bundle import Bundle
from ppgn.facets import Facets, facets
from ppgn.images import box_mask
from ppgn.starts import from_masked_image

SIZES = (40, 30, 20)  # pictures of the three blobs


def encoder(image: Tensor) -> Tensor:
    return image.flatten(1) @ torch.linspace(-1, 1, image[0].numel() * 5, dtype=image.dtype).reshape(-1, 5)


def test_a_masked_start_is_the_code_of_the_picture_filled_where_it_is_unknown() -> None:
    image = torch.rand(2, 3, 4, 5)
    filled = image.clone()
    filled[:, :, 1:3, 2:5] = torch.tensor([0.1, 0.2, 0.3])[:, None, None]
    mask = box_mask("2,1,3,2", (4, 5))
    expected = encoder(filled)
    assert torch.equal(from_masked_image(encoder, image, mask, [0.1, 0.2, 0.3]), expected)
    assert torch.equal(from_masked_image(encoder, image, mask[0], filled), expected)
    assert torch.equal(from_masked_image(encoder, image, mask.expand(2, 3, 4, 5), filled[:, :, 1:2, 2:3]), expected)


def test_a_masked_start_takes_one_number_for_grey_and_colour_alike() -> None:
    for channels in (1, 3):
        image = torch.rand(2, channels, 4, 4)
        assert torch.equal(from_masked_image(encoder, image, torch.zeros(4, 4), 0.5), encoder(torch.full_like(image, 0.5)))
        assert torch.equal(from_masked_image(encoder, image, torch.ones(4, 4), 0.5), encoder(image))


def test_a_masked_start_neither_changes_the_picture_nor_keeps_a_graph() -> None:
    image = torch.rand(1, 3, 4, 4, requires_grad=True)
    before = image.detach().clone()
    code = from_masked_image(encoder, image, box_mask("0,0,2,2", 4), 0.5)
    assert torch.equal(image, before)
    assert not code.requires_grad


@pytest.mark.parametrize(
    ("shape", "mask", "fill", "says"),
    [
        ((3, 4, 4), (1, 4, 4), 0.5, r"\(3, 4, 4\), expected \[chain, channel, height, width\]"),
        ((1, 3, 4, 4), (1, 4, 5), 0.5, r"mask has shape \(1, 4, 5\), expected the picture's height and width \(4, 4\)"),
        ((2, 3, 4, 4), (2, 4, 4), 0.5, r"a mask of shape \(2, 4, 4\) does not fit"),
        ((1, 3, 4, 4), (1, 4, 4), [0.5, 0.5], r"fill of a masked start has shape \(2, 1, 1\), expected a number"),
        ((1, 3, 4, 4), (1, 4, 4), torch.rand(2, 3, 4, 4), r"fill of a masked start has shape \(2, 3, 4, 4\)"),
        ((1, 3, 4, 4), (1, 4, 4), 128.0, r"fill of a masked start has values outside \[0, 1\]"),
        ((1, 3, 4, 4), (1, 4, 4), float("nan"), r"fill of a masked start has values outside \[0, 1\]"),
    ],
)
def test_a_masked_start_says_what_does_not_fit(shape: tuple[int, ...], mask: tuple[int, ...], fill: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        from_masked_image(encoder, torch.rand(shape), torch.ones(mask), fill)


def test_a_masked_start_refuses_a_mask_in_bytes() -> None:
    with pytest.raises(ValueError, match=r"mask has values outside \[0, 1\]"):
        from_masked_image(encoder, torch.rand(1, 3, 4, 4), torch.full((4, 4), 255.0), 0.5)


def blobs(units: int = 60) -> tuple[Tensor, Tensor, Tensor]:
    """Activations, vectors in three far blobs of 40, 30 and 20 pictures, shuffled, and the blob of each."""
    random = torch.Generator().manual_seed(0)
    blob = torch.repeat_interleave(torch.arange(3), torch.tensor(SIZES))[torch.randperm(sum(SIZES), generator=random)]
    vectors = 20 * torch.eye(3, units)[blob] + torch.randn(len(blob), units, generator=random)
    return torch.rand(len(blob), generator=random), vectors, blob


@pytest.fixture(scope="module")
def found() -> Facets:
    activations, vectors, blob = blobs()
    return facets(activations, vectors, torch.eye(3)[blob], clusters=3)


def test_far_blobs_are_found_as_facets_the_largest_first(found: Facets) -> None:
    assert torch.equal(found.facet, blobs()[2][found.chosen])
    assert torch.equal(found.starts, torch.eye(3))


def test_a_start_is_the_mean_of_the_fifteen_pictures_nearest_its_centroid(found: Facets) -> None:
    activations, vectors, _ = blobs()
    values = torch.randn(len(vectors), 2, 4)
    again = facets(activations, vectors, values, clusters=3)
    for facet in range(3):
        members = (again.facet == facet).nonzero()[:, 0]
        distance = (again.embedding[members] - again.embedding[members].mean(0)).norm(dim=1)
        nearest = again.chosen[members[distance.argsort()[:15]]]
        assert torch.equal(again.nearest[facet], nearest)
        torch.testing.assert_close(again.starts[facet], values[nearest].mean(0))
    assert torch.equal(again.embedding, found.embedding)


def test_a_cluster_of_fewer_pictures_than_are_averaged_gives_all_its_own_and_no_other() -> None:
    activations, vectors, blob = blobs()
    found = facets(activations, vectors, torch.eye(3)[blob], clusters=3, nearest=25)
    assert [len(near) for near in found.nearest] == [25, 25, 20]
    assert torch.equal(found.starts, torch.eye(3))


def test_only_the_pictures_that_excite_the_unit_most_take_part() -> None:
    activations, vectors, blob = blobs()
    activations = activations + 10.0 * (blob > 0)
    found = facets(activations, vectors, torch.eye(3)[blob], clusters=2, most=50)
    assert torch.equal(found.chosen, activations.argsort(descending=True)[:50])
    assert torch.equal(found.starts, torch.eye(3)[1:])


def test_facets_of_pixels_are_found_as_those_of_codes() -> None:
    activations, vectors, blob = blobs(48)
    found = facets(activations, vectors.reshape(-1, 3, 4, 4), vectors.reshape(-1, 3, 4, 4), clusters=3)
    assert torch.equal(found.facet, blob[found.chosen])
    assert found.starts.shape == (3, 3, 4, 4)


def test_facets_do_not_depend_on_the_order_of_the_pictures(found: Facets) -> None:
    activations, vectors, blob = blobs()
    order = torch.randperm(len(blob), generator=torch.Generator().manual_seed(1))
    again = facets(activations[order], vectors[order], torch.eye(3)[blob][order], clusters=3)
    assert torch.equal(again.embedding, found.embedding)
    assert all(torch.equal(order[one], other) for one, other in zip(again.nearest, found.nearest, strict=True))


def test_facets_are_a_function_of_their_seed_and_every_bit_of_it_counts() -> None:
    noise = torch.rand(60, 4, generator=torch.Generator().manual_seed(0))
    first, again, other, high = (facets(noise[:, 0], noise, noise, clusters=9, seed=seed) for seed in (0, 0, 1, 2**32))
    assert torch.equal(first.starts, again.starts) and torch.equal(first.facet, again.facet)
    assert not torch.equal(first.facet, other.facet)
    assert not torch.equal(first.facet, high.facet)


def test_facets_are_computed_by_one_thread_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    import sklearn.manifold
    from threadpoolctl import threadpool_info, threadpool_limits

    threads: set[int] = set()

    class Watched(sklearn.manifold.TSNE):
        def fit_transform(self, X: Any, y: None = None) -> Any:  # noqa: N803
            threads.update(pool["num_threads"] for pool in threadpool_info())
            return super().fit_transform(X, y)

    monkeypatch.setattr(sklearn.manifold, "TSNE", Watched)
    noise = torch.rand(6, 4)
    with threadpool_limits(limits=2):
        facets(noise[:, 0], noise, noise, clusters=2)
    assert threads == {1}


def test_four_pictures_are_enough_for_four_facets() -> None:
    vectors = torch.eye(4)
    found = facets(torch.arange(4.0), vectors, vectors, clusters=4)
    assert sorted(int(near) for near in found.nearest) == [0, 1, 2, 3]
    assert torch.equal(found.starts, vectors[torch.cat(found.nearest)])


@pytest.mark.parametrize(
    ("shapes", "settings", "says"),
    [
        (((9, 1), (9, 5), (9, 2)), {}, r"activations \(9, 1\), vectors \(9, 5\) and values \(9, 2\), expected \[picture\]"),
        (((9,), (9,), (9, 2)), {}, "expected .picture., .picture, unit."),
        (((9,), (9, 5), (9,)), {}, "expected .picture., .picture, unit."),
        (((9,), (8, 5), (9, 2)), {}, "of the same pictures"),
        (((9,), (9, 5), (8, 2)), {}, "of the same pictures"),
        (((9,), (9, 1), (9, 2)), {}, "expected at least two units"),
        (((9,), (9, 5), (9, 2)), {"clusters": 10}, "9 pictures and most=9 for 10 clusters, expected most from 10"),
        (((9,), (9, 5), (9, 2)), {"clusters": 5, "most": 4}, "most=4 for 5 clusters"),
        (((9,), (9, 5), (9, 2)), {"most": 10}, "9 pictures and most=10"),
        (((3,), (3, 5), (3, 2)), {}, "expected most from 4"),
        (((9,), (9, 5), (9, 2)), {"clusters": 0}, "clusters=0 and nearest=15, expected at least 1"),
        (((9,), (9, 5), (9, 2)), {"nearest": 0}, "nearest=0, expected at least 1"),
        (((9,), (9, 5), (9, 2)), {"seed": -1}, "a seed got -1"),
    ],
)
def test_facets_say_what_does_not_fit(shapes: tuple[tuple[int, ...], ...], settings: dict[str, int], says: str) -> None:
    tensors = [torch.rand(shape) for shape in shapes]
    with pytest.raises(ValueError, match=says):
        facets(tensors[0], tensors[1], tensors[2], **{"clusters": 2, **settings})


@pytest.mark.parametrize("index", range(3))
def test_facets_refuse_numbers_that_are_not_finite_or_no_floats(index: int) -> None:
    tensors = [torch.rand(9), torch.rand(9, 5), torch.rand(9, 2)]
    name = ["activations", "vectors", "values"][index]
    broken = [*tensors]
    broken[index] = torch.where(torch.arange(9).reshape(-1, *(1,) * (tensors[index].ndim - 1)) == 3, torch.nan, tensors[index])
    with pytest.raises(ValueError, match=f"facets got {name} of type torch.float32 that are not all finite"):
        facets(broken[0], broken[1], broken[2], clusters=2)
    broken[index] = (tensors[index] * 255).byte()
    with pytest.raises(ValueError, match=f"facets got {name} of type torch.uint8"):
        facets(broken[0], broken[1], broken[2], clusters=2)


@pytest.mark.parametrize(("different", "clusters"), [(1, 1), (2, 3)])
def test_copies_of_too_few_vectors_are_refused(different: int, clusters: int) -> None:
    vectors = torch.rand(different, 5).repeat(6, 1)
    with pytest.raises(ValueError, match=f"facets got {different} different vectors among {6 * different} pictures"):
        facets(torch.rand(len(vectors)), vectors, vectors, clusters=clusters)


def test_facets_without_scikit_learn_name_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    with pytest.raises(ValueError, match=r'facets need scikit-learn, which is not installed: `pip install "ppgn\[train\]"`'):
        facets(torch.rand(9), torch.rand(9, 5), torch.rand(9, 5), clusters=2)


def test_of_several_draws_each_is_taken_as_often_as_the_condition_says() -> None:
    weights = torch.tensor([0.1, 0.6, 0.3], dtype=torch.float64)
    chains = 4000

    def draw(number: int) -> torch.Tensor:
        return torch.full((chains, 1), float(number), dtype=torch.float64)

    chosen = starts.likely_code(range(chains), 3, draw, lambda code: weights[code[:, 0].long()].log())
    shares = torch.bincount(chosen[:, 0].long(), minlength=3) / chains
    assert (shares - weights).abs().max() < 4 * (0.25 / chains) ** 0.5


def test_the_choice_among_draws_is_the_same_alone_and_in_a_batch_and_one_draw_is_no_choice() -> None:
    def pick(seeds: list[int], draws: int) -> torch.Tensor:
        return starts.likely_code(
            seeds, draws, lambda number: starts.random_code(seeds, (3,), draw=number), lambda code: code.sum(1)
        )

    together = pick([4, 5, 6], 8)
    assert torch.equal(together, torch.cat([pick([seed], 8) for seed in (4, 5, 6)]))
    assert torch.equal(pick([4, 5, 6], 1), starts.random_code([4, 5, 6], (3,)))
    assert together.sum() > pick([4, 5, 6], 1).sum()
    with pytest.raises(ValueError, match="got 0 draws, expected at least 1"):
        pick([4], 0)


def test_a_foreign_model_of_codes_draws_them_whether_or_not_they_stand_behind_a_relu() -> None:
    def double(noise: Tensor) -> Tensor:
        return 2 * noise

    for relu in (False, True):
        bundle = Bundle.of(lambda code: code.reshape(-1, 1, 2, 3), (6,), relu=relu, parts={"start": double})
        made = ppgn.sample(bundle, lambda image: image.mean((1, 2, 3)), seed=[4, 5], count=2, steps=1, start="codes")
        assert torch.equal(made.codes, 2 * starts.random_code([4, 5], (6,)))


def test_a_draw_that_is_not_finite_is_never_chosen_over_one_that_is() -> None:
    for broken in (0, 1):
        chosen = starts.likely_code(
            [1, 2],
            2,
            lambda number: torch.full((2, 1), float(number)),
            lambda code, broken=broken: torch.where(code[:, 0] == broken, torch.nan, torch.zeros(2)),
        )
        assert chosen.tolist() == [[1.0 - broken]] * 2
