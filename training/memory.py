"""Freed memory kept for the next step: on the processor, asking the system for it again costs as much as the mathematics."""

from __future__ import annotations

import ctypes
import platform

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4  # parameters of mallopt(3), <malloc.h>
PAD_BYTES = 64 * 2**20  # the heap grows by this much at a time


def keep_freed_memory() -> bool:
    """Tells glibc's allocator to hand freed activations to the next step instead of to the system; False under another libc.

    By default a freed block above `M_MMAP_THRESHOLD` (at most 32 MiB), or at the heap's end, goes back at once, and every step
    pays a page fault for each 4 KiB of each activation, of which a step makes gigabytes. No result changes. The process then
    holds its peak until it ends.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(MMAP_MAX, 0) and mallopt(TRIM_THRESHOLD, -1) and mallopt(TOP_PAD, PAD_BYTES))
