"""The definition of a network from a `.prototxt` of any of Caffe's three forms, as a plain dict of the newest form."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ppgn.caffe import inputs, phases, upgrade
from ppgn.caffe.limits import MOST_LAYERS
from ppgn.caffe.schema import CaffeError, message, plain, protobuf, quoted

LARGEST_TEXT = 2 * 1024**2  # bytes; a ResNet of 152 layers takes 0.1 MiB, and the parser about two seconds a MiB

# Fields that only training reads; a definition leaves them out.
TRAINING = {
    "blobs", "blobs_lr", "weight_decay", "param", "blob_share_mode", "loss_weight", "propagate_down", "force_backward",
    "debug_info", "weight_filler", "bias_filler", "filler", "data_filler", "engine",
}  # fmt: skip
BOOKKEEPING = {"phase", "include", "exclude"}


def read_definition(path: str | Path) -> dict[str, Any]:
    """Reads the definition of a network from a `.prototxt` of the V0, V1 or V2 form into a dict that JSON can hold:

        {"name": ..., "input": [{"name", "shape"}, ...], "layers": [{"name", "type", "bottom", "top", "<..>_param": {..}}, ...]}

    Keys are the field names of caffe.proto. A field that the file leaves out is absent, and one that only training reads is
    dropped. Enums are names ("MAX"), layer types the strings of the newest form ("InnerProduct"). V0 and V1 layers are upgraded
    as in Caffe (`upgrade_proto.cpp`): padding layers are folded into the next convolution or pooling. The layers are those that
    Caffe keeps in the phase TEST at the stage "deploy". Layers that bring data are listed under "input". Layer types are not
    checked here.

    Raises CaffeError, in one sentence, for a file of more than 2 MiB or 10,000 layers, for a field that upstream Caffe lacks,
    for a number that is not finite, and for anything else that is no definition. Memory stays below 100 times the file's size
    plus 4 MiB.
    """
    text = _text(Path(path))
    try:
        return _definition(_parse(text))
    except CaffeError as fault:
        raise CaffeError(f"{path}: {fault}") from fault.__cause__


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_TEXT + 1)
    except OSError as fault:
        raise CaffeError(f"{path}: cannot be read ({fault.strerror}); give the path of a .prototxt file") from fault
    if len(data) > LARGEST_TEXT:
        limit = f"{LARGEST_TEXT // 1024**2} MiB"
        raise CaffeError(f"{path}: larger than {limit}, expected a smaller definition; give the .prototxt, not the .caffemodel")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise CaffeError(f"{path}: byte {fault.start} is not UTF-8 text; give a .prototxt, saved as UTF-8") from fault


def _parse(text: str) -> Any:
    text_format = protobuf("text_format")
    try:
        return text_format.Parse(text, message("NetParameter")())
    except text_format.ParseError as fault:
        line, column = fault.GetLine() or 1, fault.GetColumn() or 1
        message_text = str(fault).partition(" : ")[2] or str(fault)
        reason, where = plain(message_text.rstrip(" .")), f"line {line}{_layer_at(text, line, column)}"
        raise CaffeError(f"{where}: {reason}; correct that line, or remove it if only training needs it") from fault


def _layer_at(text: str, line: int, column: int) -> str:
    """The layer that the parser was in, by the text between its brace and this place: only for the error message."""
    lines = text.split("\n")[:line]
    before = "\n".join([*lines[:-1], lines[-1][: column - 1]])
    starts = [found.end() for found in re.finditer(r"\blayers?\s*(?::\s*)?[{<]", before)]
    if not starts:
        return ""
    layer = before[starts[-1] :]
    name, kind = re.search(r"\bname\s*:\s*[\"']([^\"'\n]*)", layer), re.search(r"\btype\s*:\s*[\"']?([^\s\"']+)", layer)
    words = [f"layer {len(starts)}", quoted(name[1]) if name else "", f"of type {quoted(kind[1])}" if kind else ""]
    return f" ({' '.join(word for word in words if word)})"


def _definition(net: Any) -> dict[str, Any]:
    if len(net.layers) and len(net.layer):
        raise CaffeError('it holds both "layers" (the old form) and "layer" (the new one), expected one form; keep one')
    count = len(net.layers) + len(net.layer)
    if not 1 <= count <= MOST_LAYERS:
        raise CaffeError(f"it holds {count} layers, expected 1 to {MOST_LAYERS}; give the .prototxt of a network")
    found = _plain(net)
    layers = found.get("layer") or upgrade.upgraded(found["layers"])
    for index, layer in enumerate(layers):
        for key in ("name", "type"):
            if not layer.get(key):
                raise CaffeError(f"layer {index + 1}, {quoted(layer.get('name', ''))}, has no {key}, expected one; add it")
    brought, computed = inputs.split([layer for layer in layers if phases.kept(layer, found.get("state", {}))])
    if not computed:
        raise CaffeError(f"none of its {count} layers computes anything in the phase TEST; give the network's deploy form")
    return {
        "name": found.get("name", ""),
        "input": [*inputs.declared(found), *brought],
        "layers": [{key: value for key, value in layer.items() if key not in BOOKKEEPING} for layer in computed],
    }


def _plain(source: Any) -> dict[str, Any]:
    """The fields of a message as a dict: enums by name, repeated fields as lists, without those that only training reads."""
    found = {}
    for field, value in source.ListFields():
        if field.name in TRAINING:
            continue
        many = isinstance(value, Iterable) and not isinstance(value, str)
        found[field.name] = [_value(field, item) for item in value] if many else _value(field, value)
    return found


def _value(field: Any, value: Any) -> Any:
    if field.message_type is not None:
        return _plain(value)
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    if isinstance(value, float) and not math.isfinite(value):
        raise CaffeError(f"{field.full_name} is {value}, expected a finite number of single precision; correct it")
    return value
