"""Bundles of the Hugging Face hub: its cache of links, and what goes wrong on the way to it, each in a process of its own."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from conftest import save_tiny_bundle

from ppgn.bundle import load_bundle
from ppgn.errors import BundleError

pytest.importorskip("huggingface_hub")


class Unknown(BaseHTTPRequestHandler):
    """Answers as the hub does for a repository that it does not have."""

    def do_GET(self) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


@contextmanager
def served() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Unknown)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def cached(home: Path, bundle: Path) -> Path:
    """The bundle as owner/name in the hub's cache: links in a snapshot to blobs named by their content."""
    repository = home / "hub" / "models--owner--name"
    snapshot, blobs = repository / "snapshots" / ("a" * 40), repository / "blobs"
    for folder in (snapshot, blobs, repository / "refs"):
        folder.mkdir(parents=True)
    (repository / "refs" / "main").write_text("a" * 40)
    for index, file in enumerate(sorted(bundle.iterdir())):
        shutil.copy(file, blobs / f"{index:040x}")
        (snapshot / file.name).symlink_to(Path("..", "..", "blobs", f"{index:040x}"))
    return snapshot


def listed(home: Path, name: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_ETAG_TIMEOUT": "2", **settings}
    command = [sys.executable, "-m", "ppgn.cli", "bundles", name]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_a_bundle_in_the_hubs_cache_loads_through_its_links(tmp_path: Path) -> None:
    bundle = save_tiny_bundle(tmp_path / "tiny")
    snapshot = cached(tmp_path / "home", bundle)
    assert (snapshot / "generator.safetensors").is_symlink()
    code = torch.ones(1, 12)
    assert torch.equal(load_bundle(snapshot).generator(code), load_bundle(bundle).generator(code))
    code_of_user = "from ppgn.bundle import load_bundle; print(load_bundle('hf://owner/name').name)"
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code_of_user], capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stdout.strip()) == (0, "tiny"), done.stderr


def test_a_link_of_other_content_or_to_nothing_is_still_refused(tmp_path: Path) -> None:
    bundle = save_tiny_bundle(tmp_path / "tiny")
    weights = bundle / "generator.safetensors"
    weights.unlink()
    weights.symlink_to(bundle / "encoder.safetensors")
    with pytest.raises(BundleError, match="is not what bundle.json describes"):
        load_bundle(bundle)
    weights.unlink()
    weights.symlink_to(tmp_path / "nowhere")
    with pytest.raises(BundleError, match="is missing"):
        load_bundle(bundle)


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("hf://nobody/nothing", {"HF_ENDPOINT": "http://127.0.0.1:9"}, "cannot be downloaded and is not in the cache"),
        ("hf://nobody/nothing", {"HF_HUB_OFFLINE": "1"}, "connect to the network, or download it elsewhere and give the folder"),
        ("hf://a/b/c", {}, "expected hf://OWNER/NAME: write it so"),
    ],
)
def test_what_goes_wrong_on_the_way_is_one_sentence(name: str, settings: dict[str, str], said: str, tmp_path: Path) -> None:
    lines = ["from ppgn.bundle import load_bundle", "try:", f"    load_bundle({name!r})", "except ValueError as fault:"]
    code = "\n".join([*lines, "    print(type(fault).__name__, fault)"])
    environment = {**os.environ, "HF_HOME": str(tmp_path), **settings}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("BundleError ") and said in done.stdout and done.stdout.count("\n") == 1


def test_an_unknown_repository_is_one_sentence_and_status_2_at_the_command_line(tmp_path: Path) -> None:
    with served() as endpoint:
        done = listed(tmp_path, "hf://nobody/nothing", HF_ENDPOINT=endpoint)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("ppgn: error: the hub has no repository nobody/nothing")
    assert "Traceback" not in done.stderr
