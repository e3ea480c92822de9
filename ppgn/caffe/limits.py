"""Bounds that no real Caffe network exceeds; they keep a hostile file from taking time or memory."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ppgn.caffe.schema import CaffeError

MOST_LAYERS = 10_000  # ten times those of the deepest published networks
MOST_BLOBS = 64  # of one layer; an LSTM has five
MOST_AXES = 32  # of one blob: kMaxBlobAxes of Caffe's blob.hpp
MOST_ENTRIES = 2**31 - 1  # of one blob: Caffe's Blob::Reshape refuses more


def check_shape(shape: Sequence[int], whose: str) -> None:
    """Raises CaffeError for a shape of more than 32 axes, with a size below 1, or of 2^31 entries or more.

    whose: the name of the blob in the error.
    """
    if len(shape) > MOST_AXES:
        raise CaffeError(f"{whose} has {len(shape)} axes, expected at most {MOST_AXES}; correct its shape")
    if any(size < 1 for size in shape) or math.prod(shape) > MOST_ENTRIES:
        sizes = f"sizes of 1 or more and at most {MOST_ENTRIES} entries"
        raise CaffeError(f"{whose} has the shape {list(shape)}, expected {sizes}; correct it")
