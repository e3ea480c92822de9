"""The layout of the packages: imports point one way, importing is light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = [
    "types", "faults", "constants", "seeds", "images", "masks", "video", "measured", "folding", "speed", "networks", "probe",
    "priors", "conditions", "objective", "samplers", "finite", "chain", "starts", "facets", "bundle", "tables", "recipes",
    "metrics", "toy", "checks", "caffe", "named", "cli",
]  # fmt: skip


def imported(path: Path) -> set[str]:
    """Dotted names of all modules that a file imports, at its top or inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative imports hide where things come from"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def room(path: Path) -> str:
    return path.relative_to(ROOT / "ppgn").parts[0].removesuffix(".py")


def test_every_room_of_ppgn_imports_only_rooms_before_it() -> None:
    for path in (ROOT / "ppgn").rglob("*.py"):
        if path.name == "__init__.py" and path.parent == ROOT / "ppgn":
            continue
        assert room(path) in ORDER, f"{path} has no place in the order of rooms"
        own = ORDER.index(room(path))
        used = {name.split(".")[1] for name in imported(path) if name.startswith("ppgn.")}
        later = {name for name in used & set(ORDER) if ORDER.index(name) > own}
        assert not later, f"{path} imports {later}, which come after it"


def test_ppgn_imports_neither_training_nor_scripts_and_training_no_scripts() -> None:
    for package, forbidden in (("ppgn", {"training", "scripts", "lightning"}), ("training", {"scripts"})):
        for path in (ROOT / package).rglob("*.py"):
            assert not {name.split(".")[0] for name in imported(path)} & forbidden, path


def test_the_core_knows_no_device_name() -> None:
    for name in ("objective.py", "chain.py", "samplers/langevin.py", "samplers/released.py"):
        text = (ROOT / "ppgn" / name).read_text()
        assert "cuda" not in text
        assert "networks" not in text


def test_importing_ppgn_loads_neither_lightning_nor_torchvision_models() -> None:
    code = "import ppgn, sys; print([m for m in ('lightning', 'torchvision', 'matplotlib', 'sklearn') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_of_the_command_needs_no_torch() -> None:
    code = "import sys\nfrom ppgn.cli import parser\nparser().format_help()\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("package", ["ppgn", "training", "scripts"])
def test_no_file_passes_three_hundred_lines(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 300, path
