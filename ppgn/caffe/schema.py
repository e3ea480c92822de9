"""Caffe's protobuf messages as Python classes, made from the text of `fields` on first use: no protoc, no generated code."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from ppgn.caffe import fields
from ppgn.errors import required

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
    from google.protobuf.message import Message

PACKAGE = "caffe"


class CaffeError(ValueError):
    """A Caffe file that cannot be read: one sentence with the file, what is wrong, and what to do."""


def plain(text: str, most: int = 200) -> str:
    """Text from a file or a library as part of a sentence: on one line, printable, and only its end where it is long."""
    text = text if len(text) <= most else f"...{text[-most:]}"
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))


def quoted(name: str) -> str:
    """A name from a file in quotation marks, as part of a sentence."""
    return f'"{plain(name, 80)}"'


@functools.cache
def message(name: str) -> type[Message]:
    """The class of a Caffe message by its name, such as "NetParameter" or "BlobProto".

    The classes live in a private pool, so that an installed `caffe_pb2` does not clash. Raises CaffeError without protobuf.
    """
    factory = protobuf("message_factory")
    return factory.GetMessageClass(_pool().FindMessageTypeByName(f"{PACKAGE}.{name}"))


def protobuf(part: str) -> Any:
    """A module of google.protobuf, imported on first use. Raises CaffeError where it is not installed."""
    return required(f"google.protobuf.{part}", "reading Caffe files needs protobuf", "ppgn[caffe]", kind=CaffeError)


@functools.cache
def _pool() -> Any:
    file = protobuf("descriptor_pb2").FileDescriptorProto(name="ppgn/caffe.proto", package=PACKAGE, syntax="proto2")
    messages = {name: file.message_type.add(name=name) for name in fields.MESSAGES}
    for name, values in fields.ENUMS.items():
        _add_enum(file, messages, name, values)
    for name, text in fields.MESSAGES.items():
        for field in text.split(", "):
            _add_field(messages[name], *field.split())
    for name, text in fields.LAYER_NUMBERS.items():
        words = text.split()
        for number, short in zip(words[::2], words[1::2], strict=True):
            _add_field(messages[name], number, f"{short}_param", fields.LAYER_PARAMETERS[f"{short}_param"])
    pool = protobuf("descriptor_pool").DescriptorPool()
    pool.Add(file)
    return pool


def _add_enum(file: FileDescriptorProto, messages: dict[str, DescriptorProto], name: str, values: str) -> None:
    owner, _, short = name.rpartition(".")
    enum = messages[owner].enum_type.add(name=short) if owner else file.enum_type.add(name=short)
    for value in values.split():
        label, number = value.split("=")
        enum.value.add(name=label, number=int(number))


def _add_field(owner: DescriptorProto, number: str, name: str, kind: str) -> None:
    plain = kind.rstrip("*")
    field = owner.field.add(name=name, number=int(number))
    field.label = field.LABEL_REPEATED if kind != plain else field.LABEL_OPTIONAL
    if kind.endswith("**"):
        field.options.packed = True
    if plain in fields.ENUMS or plain in fields.MESSAGES:
        field.type = field.TYPE_ENUM if plain in fields.ENUMS else field.TYPE_MESSAGE
        field.type_name = f".{PACKAGE}.{plain}"
    else:
        field.type = getattr(field, f"TYPE_{plain.upper()}")
