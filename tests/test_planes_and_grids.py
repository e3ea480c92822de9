"""Places of vectors in a plane, and the activations of a layer in rows and columns."""

import math

import pytest
import torch
from conftest import tiny_bundle
from torch import nn

from ppgn import explanation, facets, loaders
from ppgn.probe import Preprocessed

pytestmark = pytest.mark.usefixtures("one_thread")


def clouds(count: int = 24, units: int = 7) -> torch.Tensor:
    """Two clouds, far apart."""
    drawn = torch.randn(count, units, generator=torch.Generator().manual_seed(0))
    return drawn + 20 * (torch.arange(count) % 2)[:, None]


def test_the_plane_of_pca_has_the_two_largest_singular_vectors() -> None:
    vectors = clouds().double()
    found = facets.plane(vectors)
    left, size, _ = torch.linalg.svd(vectors - vectors.mean(0), full_matrices=False)
    expected = left[:, :2] * size[:2]
    torch.testing.assert_close(found.abs(), expected.abs(), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_a_plane_keeps_clouds_apart_and_is_the_same_again(method: str) -> None:
    vectors = clouds()
    found = facets.plane(vectors, method)
    assert found.shape == (24, 2) and torch.equal(found, facets.plane(vectors, method))
    distance = torch.cdist(found, found).fill_diagonal_(math.inf)
    assert torch.equal(distance.argmin(1) % 2, torch.arange(24) % 2)


@pytest.mark.parametrize(
    ("vectors", "method", "sentence"),
    [
        (clouds(), "umap", "got the method 'umap' for a plane, expected pca or tsne"),
        (clouds(3), "pca", "got 3 vectors for a plane"),
        (torch.full((9, 4), math.nan), "pca", "expected 4 or more of finite numbers"),
    ],
)
def test_vectors_without_a_plane_are_refused(vectors: torch.Tensor, method: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        facets.plane(vectors, method)


@pytest.mark.parametrize("layer", ["trunk.block0.0", "trunk.block1.0", "fc8"])
def test_grids_are_what_a_hook_of_the_layer_sees(layer: str) -> None:
    seen = loaders.network(loaders.BUNDLE_CLASSIFIER, bundle=tiny_bundle())
    picture = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(1))
    kept: list[torch.Tensor] = []
    with seen.network.get_submodule(layer).register_forward_hook(lambda module, given, made: kept.append(made.detach().clone())):
        grids = explanation.activation_grids(seen, layer, picture)
    expected = kept[-1][0] if kept[-1].ndim == 4 else kept[-1][0][:, None, None]
    assert torch.equal(grids, expected) and not grids.requires_grad


class Tokens(nn.Module):
    """A class token and 2 x 2 patches, with their mean colours as channels."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Identity()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 3))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        patches = nn.functional.avg_pool2d(image, 4).flatten(2).movedim(1, 2)
        return self.patches(torch.cat([self.cls_token.expand(len(image), -1, -1), patches], 1)).mean(1)


def test_tokens_stand_as_their_patches_without_the_class_token() -> None:
    picture = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(1))
    grids = explanation.activation_grids(Preprocessed(Tokens().eval(), None, 0.0, 1.0), "patches", picture)
    torch.testing.assert_close(grids, nn.functional.avg_pool2d(picture, 4))


def test_a_layer_that_there_is_not_is_refused() -> None:
    seen = loaders.network(loaders.BUNDLE_CLASSIFIER, bundle=tiny_bundle())
    with pytest.raises(ValueError, match="has no layer 'nothing'"):
        explanation.activation_grids(seen, "nothing", torch.rand(1, 8, 8))
