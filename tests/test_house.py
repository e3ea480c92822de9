"""The layout of the house: where imports may point, how long files and functions may be, what stands in one room only.

Each rule fails with the list of all that break it, one `file:line` each.
"""

import ast
import re
import subprocess
import sys

from house import (
    ROOT,
    at,
    check,
    defined,
    docstrings,
    exports,
    files,
    imports,
    is_inside,
    is_private,
    lines,
    mentions,
    room,
    strings,
    tree,
)

from ppgn.seeds import Stream

ORDER = [
    "types", "seeds", "errors", "progress", "autocast", "images", "probe", "caffe", "latent_diffusion", "networks",
    "generators", "renderer", "priors", "conditions", "views", "objective", "samplers", "evolution", "divergence", "chain",
    "starts", "facets", "toy", "checks", "acceleration", "bundle", "loaders", "requests", "recipes", "importers", "sampling",
    "methods", "experiment", "evaluation", "tuning", "explanation", "illumination", "web", "cli",
]  # fmt: skip
"""The rooms of ppgn in the order in which data walks through them: each imports only from those before it."""
CORE = [
    "types",
    "seeds",
    "priors",
    "conditions",
    "views",
    "objective",
    "samplers",
    "evolution",
    "divergence",
    "chain",
    "starts",
    "toy",
]
"""The rooms that run on whatever device their tensors are on."""
WITHOUT_NETWORKS = ["types", "seeds", "priors", "views", "objective", "samplers", "evolution", "divergence", "chain"]
"""The rooms that know no architecture, only what they are given."""
HEAVY = ["lightning", "torchvision", "torchmetrics", "matplotlib", "sklearn", "av", "transformers", "open_clip", "timm", "optuna",
         "neat", "ribs", "scipy", "captum", "gradio", "diffusers", "mitsuba", "drjit"]  # fmt: skip
"""Packages that take long to import or need not be installed: functions import them when they are called."""
FORBIDDEN = {
    "ppgn": {"training", "scripts", "benchmarks", "tests", "lightning"},
    "training": {"scripts", "benchmarks", "tests"},
}
FILE_LINES, FUNCTION_LINES = 300, 50
FLAG = re.compile(r"(?<![\w-])--[a-z]")
SHOWS_SHELL = {
    "ppgn/__init__.py": "its docstring says why rooms are loaded late: for the sake of `ppgn --help`",
}
"""Files outside ppgn/cli whose docstrings may name a flag, with the reason; their other strings may not."""
ASKS_FOR_KIND = re.compile(r"\bcallable\((\w+\.)*(condition|asked|wanted|target|request)\b")
"""What a condition is, a request knows."""
DEVICE = re.compile(r"\b(cuda|mps|xpu|hip)\b", re.IGNORECASE)

LOADED = f"""
import importlib, sys
known = set()
for name in ["ppgn", *(f"ppgn.{{room}}" for room in sys.argv[1:])]:
    importlib.import_module(name)
    new = {{module for module in {HEAVY} if module in sys.modules}} - known
    known |= new
    print(name, "loads", sorted(new))
"""
"""Imports the rooms one after the other in their order and prints which heavy packages each one brings."""


def test_every_room_of_ppgn_imports_only_rooms_before_it() -> None:
    offenders = []
    for path in files("ppgn"):
        own = room(path)
        if own is None:
            continue
        if own not in ORDER:
            offenders.append(at(path, 1, f"is in no room: {own} is not in ORDER"))
            continue
        for line, dotted in mentions(path):
            parts = dotted.split(".")
            if parts[0] != "ppgn" or parts[1:2] == ["__version__"]:
                continue
            if len(parts) > 1 and parts[1] not in ORDER:
                offenders.append(at(path, line, f"takes {dotted} from the front door, expected the room that defines it"))
            elif len(parts) > 1 and ORDER.index(parts[1]) > ORDER.index(own):
                offenders.append(at(path, line, f"imports {parts[1]}, which comes after {own}"))
    check("imports point only up the list of rooms", sorted(set(offenders)))


def test_nobody_imports_from_inside_another_package() -> None:
    offenders = []
    for path in files("ppgn", "training", "scripts", "tests", "benchmarks"):
        for line, module, name in imports(path):
            if is_inside(module, room(path)):
                offenders.append(at(path, line, f"imports {module}"))
            if module.startswith("."):
                offenders.append(at(path, line, f"imports {module}{name}, expected an absolute import"))
        for line, dotted in mentions(path):
            if is_inside(dotted, room(path)) and dotted.split(".")[2] not in exports(dotted.split(".")[1]):
                offenders.append(at(path, line, f"imports {'.'.join(dotted.split('.')[:3])}"))
    check("nobody imports from inside another package", sorted(set(offenders)))


def test_tests_and_benchmarks_use_no_name_with_a_leading_underscore() -> None:
    private = {name for name in defined("ppgn", "training", "scripts") if is_private(name)}
    offenders = []
    for path in files("tests", "benchmarks"):
        for line, module, name in imports(path):
            if any(is_private(part) for part in [*module.split("."), name]):
                offenders.append(at(path, line, f"imports {module}.{name}"))
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Attribute) and node.attr in private and ast.unparse(node.value) != "self":
                offenders.append(at(path, node.lineno, f"uses {ast.unparse(node)}"))
        for node in strings(path):  # as monkeypatch.setattr takes them
            if re.fullmatch(r"[\w.]+", node.value) and node.value.rpartition(".")[2] in private:
                offenders.append(at(path, node.lineno, f"names {node.value}"))
    check("tests and benchmarks use public names", offenders)


def test_ppgn_imports_neither_training_nor_scripts_and_training_no_scripts() -> None:
    offenders = [
        at(path, line, f"imports {module}")
        for package, forbidden in FORBIDDEN.items()
        for path in files(package)
        for line, module, _ in imports(path)
        if module.split(".")[0] in forbidden
    ]
    check("ppgn imports neither training nor lightning, training no scripts", offenders)


def test_argparse_is_known_to_the_command_line_only() -> None:
    offenders = [
        at(path, line, f"imports {module}")
        for path in files("ppgn")
        for line, module, _ in imports(path)
        if module.split(".")[0] in ("argparse", "jsonargparse") and room(path) != "cli"
    ]
    check("argparse stands in ppgn/cli only", offenders)


def test_no_string_outside_the_command_line_names_one_of_its_flags() -> None:
    offenders = []
    for path in files("ppgn"):
        if room(path) == "cli":
            continue
        excepted = docstrings(path) if str(path.relative_to(ROOT)) in SHOWS_SHELL else set()
        found = [node for node in strings(path) if FLAG.search(node.value) and node.lineno not in excepted]
        offenders += [at(path, node.lineno, f"has {node.value.strip()[:90]!r}") for node in found]
    check("flags are named in ppgn/cli only", offenders)


def test_a_package_that_is_not_installed_is_told_by_errors_required_only() -> None:
    offenders = [
        at(path, node.lineno, f"has {node.value.strip()[:90]!r}")
        for path in files("ppgn", "training")
        if room(path) != "errors"
        for node in strings(path)
        if re.search("which is not installed|`pip install", node.value) and node.lineno not in docstrings(path)
    ]
    check("errors.required says what is not installed", offenders)


def test_only_requests_ask_whether_a_condition_is_callable() -> None:
    offenders = [
        at(path, line, text.strip())
        for path in files("ppgn", "training", "scripts", "benchmarks")
        for line, text in lines(path)
        if ASKS_FOR_KIND.search(text) and room(path) != "requests"
    ]
    check("what a condition is, requests alone decide", offenders)


def test_random_numbers_are_drawn_from_a_named_stream() -> None:
    offenders = []
    for path in files("ppgn", "training", "benchmarks"):
        if room(path) == "seeds":
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.keyword) and node.arg == "stream":
                given = ast.unparse(node.value)
                if not re.search(r"(^|\.)Stream\.[A-Z_]+$", given):
                    offenders.append(at(path, node.value.lineno, f"draws from stream={given}, expected stream=Stream.NAME"))
    check("streams stand in the enumeration only", offenders)
    assert list(Stream) == list(Stream.__members__.values()) == list(range(len(Stream)))


def test_the_core_knows_no_device_name() -> None:
    inside = [(path, line, text) for path in files("ppgn") if room(path) in CORE for line, text in lines(path)]
    check("the core knows no device name", [at(path, line, text.strip()) for path, line, text in inside if DEVICE.search(text)])


def test_the_loop_and_the_rules_know_no_architecture() -> None:
    offenders = [
        at(path, line, f"imports {dotted}")
        for path in files("ppgn")
        if room(path) in WITHOUT_NETWORKS
        for line, dotted in mentions(path)
        if dotted.startswith(("ppgn.networks", "ppgn.generators", "ppgn.caffe"))
    ]
    check("the loop and the rules know no architecture", offenders)


def test_no_module_of_ppgn_imports_a_heavy_package_at_its_top() -> None:
    offenders = [
        at(path, node.lineno, f"imports {name}")
        for path in files("ppgn")
        for node in tree(path).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
        if name.split(".")[0] in HEAVY
    ]
    check("heavy packages are imported inside functions", offenders)


def test_importing_ppgn_or_one_of_its_rooms_loads_nothing_heavy() -> None:
    rooms = sorted({name for path in files("ppgn") if (name := room(path)) in ORDER}, key=ORDER.index)
    done = subprocess.run([sys.executable, "-c", LOADED, *rooms], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    check("importing ppgn is light", [line for line in done.stdout.splitlines() if not line.endswith("loads []")])


def test_help_of_the_command_needs_no_torch() -> None:
    code = "import sys\nfrom ppgn.cli import main\ntry:\n    main(['--help'])\nfinally:\n    print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "False"


def test_no_file_passes_three_hundred_lines() -> None:
    counts = [(path, len(path.read_text().splitlines())) for path in files("ppgn", "training", "scripts")]
    check("a file has at most 300 lines", [at(path, count, "is the last line") for path, count in counts if count > FILE_LINES])


def test_no_function_passes_fifty_lines() -> None:
    offenders = []
    for path in files("ppgn", "training", "scripts"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = (node.end_lineno or node.lineno) - node.lineno + 1
                if count > FUNCTION_LINES:
                    offenders.append(at(path, node.lineno, f"{node.name} has {count} lines"))
    check("a function has at most 50 lines", offenders)
