"""Whatever stands in a file or in words that a reader gets: it answers, or raises a ValueError (hypothesis)."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, features
from safetensors.torch import save as safetensors_bytes
from safetensors.torch import save_file
from torch import nn

from ppgn import evaluation, images, importers, loaders, recipes, requests, sampling
from ppgn.conditions import UnitAddress
from ppgn.networks import Fc6Encoder, Fc6EncoderConfig
from ppgn.samplers import levels_from, scale_from
from ppgn.types import ImageSpec
from training import (
    RealFeatures,
    RunState,
    check_configs,
    describe,
    lite0_weights,
    load_weights,
    open_packs,
    read_checkpoint,
    read_classes,
    read_facts,
    read_network,
    read_scores,
    read_tensors,
    run_config,
    take_state,
)

FUZZED = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
WORDS = st.text(max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.sampled_from([10**400, "../x", "\ud800", "a\0b"]),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(WORDS, inside, max_size=3),
    max_leaves=8,
)
CHANGES = st.lists(
    st.tuples(st.sampled_from(["put", "cut", "add", "end"]), st.floats(0, 1, exclude_max=True), st.binary(max_size=8)),
    min_size=1,
    max_size=4,
)


def changed(content: bytes, changes: list[tuple[str, float, bytes]]) -> bytes:
    """The bytes with some overwritten, cut out, put between, or all cut off from a place on."""
    for kind, share, new in changes:
        place = int(share * len(content))
        behind = {"put": place + len(new), "cut": place + len(new) + 1, "add": place, "end": len(content)}[kind]
        content = content[:place] + (b"" if kind in ("cut", "end") else new) + content[behind:]
    return content


@contextmanager
def a_file(content: bytes, name: str = "file") -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_bytes(content)
        yield file


def renamed(file: Path, name: str) -> Path:
    return file.rename(file.with_name(name))


def answers(reader: Callable[[], Any]) -> None:
    """Fails for any exception but a ValueError of one line."""
    try:
        reader()
    except ValueError as fault:
        said = str(fault)
    else:
        return
    assert said.strip() and not set(said) & {"\n", "\r", "\x1b"}


def picture(kind: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (9, 11, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


KINDS = ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA", *(["AVIF"] if features.check("avif") else [])]
PICTURES = {kind: picture(kind) for kind in KINDS}


@FUZZED
@given(kind=st.sampled_from(KINDS), changes=CHANGES)
def test_a_broken_picture_is_an_image_or_a_value_error(kind: str, changes: list) -> None:
    with a_file(changed(PICTURES[kind], changes)) as file:

        def read() -> None:
            image = images.load_image(file, 8)
            assert image.shape == (3, 8, 8) and bool(((image >= -1e-5) & (image <= 1 + 1e-5)).all())

        answers(read)
        answers(lambda: images.file_mask(file, (9, 11)))


def saved(**tensors: torch.Tensor) -> bytes:
    with a_file(b"") as file:
        save_file(tensors, file, {"facts": json.dumps({"classes": ["a", "b"], "digest": "x", "broken": []})})
        return file.read_bytes()


def kept_features() -> bytes:
    with a_file(b"") as file:
        facts = {"digest": "x", "shapes": json.dumps([[2], [2, 1, 1]]), "storage": "float32"}
        save_file({"features": torch.zeros(3, 4)}, file, facts)
        return file.read_bytes()


def torch_saved(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def packed() -> bytes:
    buffer = io.BytesIO()
    blob = np.frombuffer(picture("WEBP"), np.uint8)
    np.savez(buffer, data=blob, sizes=np.array([len(blob)], np.int32), labels=np.zeros((1, 3), np.int64))
    return buffer.getvalue()


LABELS = {
    "train": torch.zeros(2, 3, 4, 4, dtype=torch.uint8),
    "train_labels": torch.zeros(2),
    "validation_labels": torch.zeros(1),
}


TINY = Fc6Encoder(Fc6EncoderConfig(classes=2, trunk="convnet", input_size=8, reduce=0, code_size=4, hidden=4, widths=(4,)))
NETWORK = {"ppgn": {"parts": {"encoder": describe(TINY)}, "class_names": ["a", "b"], "scores": {"val/loss": 1.0}}}
STATE = {"part": nn.Linear(1, 1).state_dict(), "updates": 3}
CONTENT: dict[str, tuple[bytes, Callable[[Path], Any]]] = {
    "safetensors": (saved(weight=torch.ones(3, 2)), loaders.read_weights),
    "checkpoint": (torch_saved({"state_dict": {"weight": torch.ones(3, 2)}}), loaders.read_weights),
    "training checkpoint": (torch_saved({"ppgn": {"parts": {}, "class_names": ["a"]}}), read_checkpoint),
    "checkpoint's network": (torch_saved(NETWORK), lambda file: read_network(file, "encoder")),
    "checkpoint's classes": (torch_saved(NETWORK), read_classes),
    "checkpoint's scores": (torch_saved(NETWORK), read_scores),
    "weights in parts": (
        saved(weight=torch.ones(3, 2)),
        lambda file: load_weights(renamed(file, "part.safetensors").parent, "part"),
    ),
    "tensors that a run keeps": (saved(train=torch.ones(3, 2)), lambda file: read_tensors(file, "train")),
    "weights of a trunk": (torch_saved({"_conv_stem.weight": torch.ones(3, 2)}), lite0_weights),
    "state of a run": (torch_saved(STATE), lambda file: take_state(file, {"part": nn.Linear(1, 1)}, torch.device("cpu"))),
    "kept features": (kept_features(), RealFeatures),
    "pack of pictures": (saved(**LABELS), read_facts),
}


@pytest.mark.parametrize("kind", CONTENT)
def test_a_broken_file_of_tensors_is_read_or_a_value_error(kind: str) -> None:
    content, reader = CONTENT[kind]

    @FUZZED
    @given(changes=CHANGES)
    def check(changes: list) -> None:
        with a_file(changed(content, changes)) as file:
            answers(lambda: reader(file))

    check()


FOREIGN: dict[str, bytes] = {
    "nothing": b"",
    "a number": torch_saved(3),
    "a list": torch_saved(["ppgn"]),
    "another checkpoint": torch_saved({"ppgn": 3}),
    "an empty checkpoint": torch_saved({"ppgn": {}}),
    "a network of another kind": torch_saved({"ppgn": {"parts": {"encoder": {"architecture": "x"}}, "class_names": 3}}),
    "a state of other parts": torch_saved({"other": {}, "updates": "three"}),
    "other tensors": saved(other=torch.ones(2)),
    "tensors alone": safetensors_bytes({"features": torch.ones(2, 2)}),
    "a page": b"<!doctype html><html></html>",
}


TENSORS = {"other tensors", "tensors alone"}
READ = {
    "safetensors": TENSORS, "checkpoint": TENSORS, "weights in parts": TENSORS, "weights of a trunk": TENSORS,
    "training checkpoint": {"an empty checkpoint", "a network of another kind"},
}  # fmt: skip
"""Which of FOREIGN a reader takes, because what it gives is checked where it is used."""


@pytest.mark.parametrize("kind", sorted({*CONTENT} - {"pack of pictures"}))
@pytest.mark.parametrize("content", sorted(FOREIGN))
def test_a_foreign_file_of_tensors_is_a_sentence_with_its_name(kind: str, content: str) -> None:
    taken = content in READ.get(kind, set())
    with (
        a_file(FOREIGN[content]) as file,
        nullcontext() if taken else pytest.raises(ValueError, match=r"/(file|part\.safetensors)\b.*: "),
    ):
        CONTENT[kind][1](file)


@FUZZED
@given(changes=CHANGES, classes=JSON | st.just({"object": ["a", "b"]}))
def test_broken_data_packs_are_read_or_a_value_error(changes: list, classes: Any) -> None:
    with a_file(changed(packed(), changes), "train0.npz") as file:
        (file.parent / "classes.json").write_text(json.dumps(classes))
        answers(lambda: open_packs(file.parent, "train").group_labels())


ROW = st.fixed_dictionaries({}, optional={"file": WORDS | JSON, "kind": WORDS | JSON, "class": WORDS | JSON})
TEXTS = st.one_of(
    st.binary(max_size=60),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.lists(ROW, max_size=4).map(lambda rows: json.dumps({"samples": rows, "trials": rows, "recipe": rows}).encode()),
    st.lists(ROW, max_size=4).map(lambda rows: "\n".join(map(json.dumps, rows)).encode()),
    st.text(max_size=60).map(lambda text: text.encode(errors="surrogatepass")),
)
TEXT_READERS: dict[str, Callable[[Path], Any]] = {
    "settings": recipes.read_recipe,
    "settings' run": recipes.stored_run,
    "settings' precision": recipes.stored_network_precision,
    "names of a judge": evaluation.read_class_names,
    "names of an import": lambda file: importers.class_names(file, 2),
    "statistics of an import": lambda file: importers.code_of((2,), file),
    "table": lambda file: images.read_table(file.parent, file.name, {"kind": "kind"}, 1, 0, 0.3),
    "samples": lambda file: sampling.read_rows(file.parent),
    "samples to evaluate": lambda file: evaluation.class_folder(file.parent, ("a", "b"), [0], 1, ImageSpec(8, 8)),
    "config": lambda file: check_configs(["--config", str(file)]),
    "weights": loaders.read_weights,
    "settings that a training left": lambda file: run_config(renamed(file, "config.yaml").parent),
    "state of a run": lambda file: RunState.open(renamed(file, "run.json").parent, {}).spent,
}


@pytest.mark.parametrize("kind", TEXT_READERS)
def test_any_text_is_read_or_a_value_error(kind: str) -> None:
    @FUZZED
    @given(content=TEXTS)
    def check(content: bytes) -> None:
        with a_file(content, "samples.json") as file:
            answers(lambda: TEXT_READERS[kind](file))

    check()


WORD_READERS: dict[str, Callable[[str], Any]] = {
    "unit": UnitAddress.parse,
    "scale": lambda words: scale_from(words, "a scale"),
    "levels": lambda words: levels_from(words, "levels"),
    "class": lambda words: requests.class_index(("church", "gas pump", "a: b"), words),
}


@pytest.mark.parametrize("kind", WORD_READERS)
def test_any_words_are_read_or_a_value_error(kind: str) -> None:
    @FUZZED
    @given(words=st.text(max_size=20) | st.from_regex(r"[a-z.]{0,6}:[0-9,\-@:a-z]{0,12}", fullmatch=True))
    def check(words: str) -> None:
        answers(lambda: WORD_READERS[kind](words))

    check()
