"""The facets of a unit: the kinds of pictures that excite it, each as a start for chains.

As in Nguyen et al. 2016, "Multifaceted feature visualization".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ppgn.errors import required
from ppgn.seeds import check_seeds

COMPONENTS = 50  # of the PCA before t-SNE, as in the paper
NEAREST = 15  # pictures in a mean, as in the paper
PERPLEXITY = 30.0  # t-SNE's default; a third of the neighbours where there are fewer than 90 of them
FEWEST = 4  # pictures: t-SNE needs a perplexity of at least 1, so at least three neighbours


@dataclass(frozen=True, eq=False)
class Facets:
    """The facets of a unit, ordered by their number of pictures, the largest first.

    starts: `[facet, ...]`, the mean value of the pictures nearest to each centre. nearest: for each facet the indices of these
    pictures, nearest first. chosen: `[most]`, the indices of the pictures that excite the unit most, most exciting first. facet:
    `[most]`, the facet of each chosen picture. embedding: `[most, 2]`, its place in the t-SNE plane. Indices count the pictures
    passed to `facets`. All tensors except starts are on the CPU.
    """

    starts: Tensor
    nearest: tuple[Tensor, ...]
    chosen: Tensor
    facet: Tensor
    embedding: Tensor


def facets(
    activations: Tensor,
    vectors: Tensor,
    values: Tensor,
    *,
    clusters: int,
    most: int | None = None,
    nearest: int = NEAREST,
    seed: int = 0,
) -> Facets:
    """Finds the k-means clusters of t-SNE(PCA_50(vectors)) in the plane, and the mean of the 15 pictures nearest to each centre.

    activations: `[picture]`, of the unit at each picture. vectors: `[picture, unit]`, codes or pixels by which pictures are
    compared (`[picture, ...]` is flattened). values: `[picture, ...]`, whose means are taken: codes for a chain of codes, pixels
    for a chain of pixels. clusters: the number of facets. most: the number of most exciting pictures that take part; None: all.
    nearest: the number of pictures in each mean. A smaller cluster gives all its pictures, and never those of another cluster.

    The result is a function of the arguments, seed included. It does not depend on the order of the pictures (except for equal
    activations) or on the number of threads. Raises ValueError for wrong shapes, numbers that are not finite, fewer pictures than
    clusters (or than 4), fewer different vectors than clusters, a bad seed, and without scikit-learn.
    """
    _check_tensors(activations, vectors, values)
    (seed,) = check_seeds([seed])
    most = len(activations) if most is None else most
    _check_numbers(len(activations), most, clusters, nearest)
    chosen = activations.detach().argsort(descending=True, stable=True)[:most].cpu()
    vectors = vectors.detach().flatten(1)[chosen.to(vectors.device)].cpu()
    _check_different(vectors, clusters)
    embedding, label, centre = _cluster(vectors, clusters, seed)
    distance = (embedding - centre[label]).norm(dim=1)
    order = label.bincount(minlength=clusters).argsort(descending=True, stable=True)
    members = [(label == cluster).nonzero()[:, 0] for cluster in order]
    close = tuple(chosen[member[distance[member].argsort(stable=True)[:nearest]]] for member in members)
    starts = torch.stack([values.detach()[index.to(values.device)].mean(0) for index in close])
    return Facets(starts, close, chosen, order.argsort()[label], embedding)


def plane(vectors: Tensor, method: str = "pca", seed: int = 0) -> Tensor:
    """Places of vectors `[picture, unit]` in a plane, `[picture, 2]`, by PCA or by t-SNE of their 50 first components.

    method: "pca" or "tsne". The axes have no unit. Raises ValueError for another method, for fewer than 4 vectors, for numbers
    that are not finite, and without scikit-learn.
    """
    if method not in ("pca", "tsne"):
        raise ValueError(f"got the method {method!r} for a plane, expected pca or tsne: choose one")
    vectors = vectors.detach().flatten(1).double().cpu()
    if len(vectors) < FEWEST or not bool(vectors.isfinite().all()):
        raise ValueError(
            f"got {len(vectors)} vectors for a plane, expected {FEWEST} or more of finite numbers: give more pictures"
        )
    decomposition, manifold, threads = (scikit(name) for name in ("sklearn.decomposition", "sklearn.manifold", "threadpoolctl"))
    random = np.random.RandomState(np.random.PCG64(*check_seeds([seed])))
    with threads.threadpool_limits(limits=1):
        components = 2 if method == "pca" else min(COMPONENTS, *vectors.shape)
        found = decomposition.PCA(components, random_state=random).fit_transform(vectors.numpy())
        if method == "tsne":
            perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
            found = manifold.TSNE(2, perplexity=perplexity, init="pca", random_state=random).fit_transform(found)
    return torch.from_numpy(found.astype("float64"))


def _cluster(vectors: Tensor, clusters: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Places in the plane `[picture, 2]`, the cluster of each picture `[picture]`, and the centres of clusters `[cluster, 2]`."""
    decomposition, manifold, cluster, threads = (
        scikit(name) for name in ("sklearn.decomposition", "sklearn.manifold", "sklearn.cluster", "threadpoolctl")
    )
    random = np.random.RandomState(np.random.PCG64(seed))  # takes a seed of any size, where an int must be below 2^32
    perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
    # Several threads may add in another order, which t-SNE amplifies. On a busy machine they also wait for each other.
    with threads.threadpool_limits(limits=1):
        components = min(COMPONENTS, *vectors.shape)
        reduced = decomposition.PCA(components, random_state=random).fit_transform(vectors.double().numpy())
        embedding = manifold.TSNE(2, perplexity=perplexity, init="pca", random_state=random).fit_transform(reduced)
        found = cluster.KMeans(clusters, n_init=10, random_state=random).fit(embedding)
    return torch.from_numpy(embedding), torch.from_numpy(found.labels_).long(), torch.from_numpy(found.cluster_centers_)


def scikit(name: str = "sklearn.manifold") -> Any:
    """A module of scikit-learn. Raises ValueError where it is not installed."""
    return required(name, "facets need scikit-learn", "ppgn[train]")


def _check_tensors(activations: Tensor, vectors: Tensor, values: Tensor) -> None:
    if activations.ndim != 1 or vectors.ndim < 2 or values.ndim < 2 or not len(activations) == len(vectors) == len(values):
        raise ValueError(
            f"facets got activations {tuple(activations.shape)}, vectors {tuple(vectors.shape)} and values "
            f"{tuple(values.shape)}, expected [picture], [picture, unit] and [picture, ...] of the same pictures: pass a row "
            f"per picture in each"
        )
    for name, tensor in (("activations", activations), ("vectors", vectors), ("values", values)):
        if not tensor.is_floating_point() or not bool(tensor.isfinite().all()):
            raise ValueError(
                f"facets got {name} of type {tensor.dtype} that are not all finite floating-point numbers, expected such "
                f"numbers: convert them with .float() and leave out the pictures with NaN or infinity"
            )
    if vectors[0].numel() < 2:
        raise ValueError(
            f"facets got vectors {tuple(vectors.shape)}, expected at least two units, as t-SNE fills a plane: pass longer vectors"
        )


def _check_numbers(pictures: int, most: int, clusters: int, nearest: int) -> None:
    if clusters < 1 or nearest < 1:
        raise ValueError(f"facets got clusters={clusters} and nearest={nearest}, expected at least 1: pass larger numbers")
    if not max(clusters, FEWEST) <= most <= pictures:
        raise ValueError(
            f"facets got {pictures} pictures and most={most} for {clusters} clusters, expected most from "
            f"{max(clusters, FEWEST)} (one per cluster, and {FEWEST} for t-SNE) to the number of pictures: give more pictures or "
            f"ask for fewer clusters"
        )


def _check_different(vectors: Tensor, clusters: int) -> None:
    different = len(vectors.unique(dim=0))
    if different < max(clusters, 2):
        raise ValueError(
            f"facets got {different} different vectors among {len(vectors)} pictures, expected at least {max(clusters, 2)} for "
            f"{clusters} clusters: leave out copies or ask for fewer clusters"
        )
