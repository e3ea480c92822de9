"""Protobuf's wire format: the places of the fields of a message, found in a file without loading it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy
from numpy.typing import NDArray

from ppgn.caffe.schema import CaffeError

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5  # wire types; no Caffe model has 3 and 4, which are groups
WIDTH = {FIXED64: 8, FIXED32: 4}
WINDOW = 64 * 1024  # bytes read at a time while walking
MOST_FIELDS = 250_000  # visited in a file, a run counted once: CaffeNet has 200, a ResNet of 152 layers 10,000
MOST_NUMBERS = 64 * 1024  # of an array, read at a time
HIGHEST = 2**29 - 1  # field number that protobuf allows
AGAIN = "the file is damaged or not a Caffe model, so download or export it again"
"""The end of an error about bytes."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a message: its number and wire type, and the bytes at which its tag, its value and the next field start.

    An array that is not packed is written as fixed-width fields of the same number, one after another. Such a run is one Field.
    """

    number: int
    wire: int
    tag: int
    start: int
    end: int

    def count(self, width: int) -> int:
        """The number of values in a packed array or a run, each `width` bytes wide. Raises CaffeError for a part of a value."""
        stride = width if self.wire == LENGTH else self.start - self.tag + width
        size = self.end - (self.start if self.wire == LENGTH else self.tag)
        if size % stride:
            raise CaffeError(f"byte {self.tag} starts an array of {size} bytes, expected a multiple of {width}; {AGAIN}")
        return size // stride


class Wire:
    """A file of protobuf messages, of which parts are read. Raises CaffeError for bytes that are no message or end too early."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file = file
        self.size = size
        self.visited = 0
        self._window, self._offset = b"", 0

    def fields(self, start: int, end: int) -> Iterator[Field]:
        """Yields the fields of the message between two bytes, in the order of the file."""
        while start < end:
            self.visited += 1
            if self.visited > MOST_FIELDS:
                raise CaffeError(f"it is cut into more than {MOST_FIELDS} pieces, expected fewer; export the model again")
            field = self._field(start, end)
            yield field
            start = field.end

    def numbers(self, field: Field, kind: str) -> Iterator[NDArray[Any]]:
        """Yields the numbers of a packed array or a run in chunks. kind: their NumPy type, such as "<f4"."""
        lead = 0 if field.wire == LENGTH else field.start - field.tag
        stride = lead + numpy.dtype(kind).itemsize
        for place in range(field.start - lead, field.end, MOST_NUMBERS * stride):
            raw = self.bytes(place, min(place + MOST_NUMBERS * stride, field.end))
            row = numpy.frombuffer(raw, numpy.uint8).reshape(-1, stride)[:, lead:]
            yield numpy.ascontiguousarray(row).view(kind)[:, 0]

    def bytes(self, start: int, end: int) -> bytes:
        """The bytes from `start` to before `end`, out of a window that moves along with the walk."""
        if not self._offset <= start <= end <= self._offset + len(self._window):
            self.file.seek(start)
            self._window, self._offset = self.file.read(max(end - start, WINDOW)), start
        found = self._window[start - self._offset : end - self._offset]
        if len(found) < end - start:
            raise CaffeError(f"it ends before byte {end}, expected that byte; {AGAIN}")
        return found

    def _field(self, tag: int, end: int) -> Field:
        key, start = self._varint(tag, end)
        number, wire, first = key >> 3, key & 7, start
        if wire == VARINT:
            first, stop = start, self._varint(start, end)[1]
        elif wire == LENGTH:
            length, first = self._varint(start, end)
            stop = first + length
        elif wire in WIDTH:
            stop = self._run_end(tag, end, 1 + WIDTH[wire]) if start == tag + 1 else start + WIDTH[wire]
        else:
            raise CaffeError(f"byte {tag} starts a field of wire type {wire}, expected 0, 1, 2 or 5; {AGAIN}")
        if not 1 <= number <= HIGHEST:
            raise CaffeError(f"byte {tag} starts a field of number {number}, expected 1 to {HIGHEST}; {AGAIN}")
        if stop > end:
            raise CaffeError(f"byte {tag} starts a field that ends at byte {stop}, but what holds it ends at {end}; {AGAIN}")
        return Field(number, wire, tag, first, stop)

    def _varint(self, start: int, end: int) -> tuple[int, int]:
        """The unsigned number that starts at a byte, and the byte behind it."""
        value = 0
        for index, byte in enumerate(self.bytes(start, min(start + 10, end))):
            value |= (byte & 127) << 7 * index
            if byte < 128:
                return value, start + index + 1
        raise CaffeError(f"byte {start} starts a number that does not end; {AGAIN}")

    def _run_end(self, tag: int, end: int, stride: int) -> int:
        """The end of a run of values with the same one-byte tag; each look goes twice as far as the one before."""
        first, look = self.bytes(tag, tag + 1)[0], 1
        while tag < end:
            tags = numpy.frombuffer(self.bytes(tag, min(tag + look * stride, end)), numpy.uint8)[::stride]
            others = numpy.flatnonzero(tags != first)
            if len(others):
                return tag + int(others[0]) * stride
            tag += len(tags) * stride
            look = min(2 * look, MOST_NUMBERS)
        return tag
