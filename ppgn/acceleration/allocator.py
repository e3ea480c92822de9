"""Freed memory kept for the next step, because on a CPU fetching it from the system again costs as much as the arithmetic."""

from __future__ import annotations

import ctypes
import platform

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4  # parameters of mallopt(3), <malloc.h>
PAD_BYTES = 64 * 2**20  # the heap grows by this much at a time


def keep_freed_memory() -> bool:
    """Make glibc's allocator keep freed activations for the next step; returns False under another libc.

    By default a freed block above `M_MMAP_THRESHOLD` (at most 32 MiB), or at the heap's end, goes back to the system at once.
    Every step then pays a page fault for each 4 KiB of the gigabytes of its activations. No result changes; the process holds
    its peak of memory until it ends.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(MMAP_MAX, 0) and mallopt(TRIM_THRESHOLD, -1) and mallopt(TOP_PAD, PAD_BYTES))
