"""A flag for each field of a recipe, taken from the fields themselves: `--sampler langevin --prior-scale 0.15`."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ppgn import recipes
from ppgn.cli.values import literal, scale

ABOUT = """Each flag changes one setting of the bundle's recipe. What no flag says stays as it is there.
Name a sampler, prior, start, measure or bounds, your own as my_module:Name, before --help to see the flags of that one."""
FAMILY_HELP = {
    "sampler": "rule for the next code",
    "prior": "direction R(h) - h towards codes of real pictures",
    "start": "first codes",
    "measure": "of the scores of classes and captions, a log-probability; with --unit that of the unit",
    "bounds": "that codes are clipped to after every step",
    "view": "what the network sees of a picture at a step",
}
"""Member of a recipe -> its help."""
HELP = {
    "prior_scale": "epsilon 1, the share of the prior's direction in a step",
    "condition_scale": "epsilon 2, of the gradient of the condition",
    "noise_scale": "epsilon 3, the standard deviation of the noise of a step",
    "condition_limit": "most that the condition moves a code in a step, 0 for no limit",
    "step_size": "size of a step",
    "momentum": "in [0, 1)",
    "decay": "factor of the code after each step, in (0, 1]",
    "reset_every": "steps after which a chain starts afresh, 0 for never",
    "levels": "noise levels, the highest and the lowest, such as 1:0.05",
    "corrections": "Langevin steps at each noise level",
    "level": "noise level of the prior, above 0",
    "temperature": "of the softmax; above 1 asks for more when the class is likely already",
    "start_mean": "mean of the first codes",
    "start_std": "standard deviation of the first codes",
    "bounds_low": "lowest value of a unit",
    "bounds_high": "highest value of a unit",
    "draws": "starting codes for each chain, of which a likely one is taken",
    "draw_power": "how likely: p^draw-power, above 1 prefers typical ones",
    "tries": "runs of a chain that ends below --accept, until it has as many",
    "accept": "log-probability in nats, at temperature 1, that is enough",
}
"""Flat name of a field -> its help; any other field shows its name."""
TAKEN = ("bundle", "command", "class_", "classes", "picture", "rest")
"""Arguments of the commands that are typed without a flag, or with one of another name."""
READERS: dict[str, Callable[[str], Any]] = {"int": int, "float": float, "str": str}
METAVARS = {"int": "N", "float": "X", "str": "WORD"}


@dataclass(frozen=True)
class Flag:
    """The flag of a field that members of a family share. kind: the type of the field. owners: member -> its default."""

    name: str
    kind: str
    owners: Mapping[str, Any]

    @property
    def option(self) -> str:
        """`--prior-scale` for prior_scale."""
        return f"--{self.name.replace('_', '-')}"


def add_arguments(parser: argparse.ArgumentParser, words: Sequence[str] = (), retries: bool = True) -> None:
    """Adds the flags of recipes. words: the command line, which may name members whose flags --help shows. retries: whether
    chains that fail may begin anew. Raises ValueError for a member from another module that cannot be imported."""
    group = parser.add_argument_group("how chains run", ABOUT)
    group.add_argument("--recipe", metavar="NAME", help=f"a published method: {', '.join(recipes.NAMED)}")
    group.add_argument("--settings", metavar="FILE",
                       help="the recipe in settings.json of `ppgn tune` or samples.json; other flags go before it")  # fmt: skip
    group.add_argument("--steps", type=int, metavar="N", help="steps of each chain")
    group.add_argument(
        "--precision",
        choices=recipes.PRECISIONS,
        help="of the networks; reproducible: the same pictures in any batch, on any number of threads",
    )
    group.add_argument("--generator", metavar="PART", help="part of the bundle that makes pictures, or pixels, fourier, phase")
    for family in recipes.FAMILIES:
        _add_family(parser, family, named_in(words, family))
    choice = parser.add_argument_group("several starts" + (" and runs of a chain" if retries else ""))
    for kind in (recipes.Choice, *([recipes.Retries] if retries else [])):
        for flag in flags_of("", {"": kind}):
            add_flag(parser, choice, flag, HELP.get(flag.name, ""))


def named_in(words: Sequence[str], family: str) -> str | None:
    """The word after --sampler, --prior, ...; the last one counts."""
    flag = f"--{family}"
    found = [after for word, after in zip(words, words[1:], strict=False) if word == flag]
    found += [word.partition("=")[2] for word in words if word.startswith(f"{flag}=")]
    return found[-1] if found else None


def flags_of(family: str, members: Mapping[str, Any]) -> list[Flag]:
    """The flags of all fields of these members, each once; where types differ, schedules before numbers."""
    found: dict[str, Flag] = {}
    for member, kind in members.items():
        for field in recipes.settings_of(kind):
            name, type_name = recipes.flat_name(family, field.name), recipes.type_of(field)
            before = found.get(name)
            owners = {} if before is None else dict(before.owners)
            known = type_name if before is None or "Scale" not in before.kind else before.kind
            found[name] = Flag(name, known, {**owners, member: field.default})
    return list(found.values())


def changes(given: argparse.Namespace) -> dict[str, Any]:
    """The settings that were typed, by their flat names, and "recipe", a name or the Recipe of --settings.

    `sampling.sample` takes them. Raises ValueError for a file without a recipe, and for --recipe beside --settings.
    """
    found = {name: value for name in _names(given) if (value := getattr(given, name, None)) is not None}
    if getattr(given, "unit", None) is not None:
        found.pop("measure", None)  # it is that of the unit
    if given.settings is not None and given.recipe is not None:
        raise ValueError("got --settings and --recipe, expected one of them: the file holds all that a recipe changes")
    recipe = given.recipe if given.settings is None else recipes.read_recipe(given.settings)
    return found if recipe is None else {"recipe": recipe, **found}


def batch(given: argparse.Namespace) -> int | None:
    """The chains at once that were typed, or with which the samples of --settings ran; then as many threads as these had."""
    if given.settings is None:
        return given.batch
    stored, threads = recipes.stored_run(given.settings)
    if threads is not None:
        torch.set_num_threads(threads)
    return stored if given.batch is None else given.batch


def _names(given: argparse.Namespace) -> Iterable[str]:
    """The flat names of all settings that this command line can hold."""
    yield from ("steps", "precision", "generator")
    for family, members in recipes.FAMILIES.items():
        yield family
        yield from (flag.name for flag in flags_of(family, {**members, **_foreign(family, getattr(given, family, None))}))
    for kind in (recipes.Choice, recipes.Retries):
        yield from (flag.name for flag in flags_of("", {"": kind}))


def _foreign(family: str, name: str | None) -> dict[str, Any]:
    """The member from another module that a command line names, if it names one."""
    return {name: recipes.kind_named(family, name)} if name is not None and ":" in name else {}


def _add_family(parser: argparse.ArgumentParser, family: str, name: str | None) -> None:
    """--FAMILY, and a flag for each field: of the member that was named, else of all. Fields of other members are read too, so
    that the library can say which member has them, but not shown."""
    members = {**recipes.FAMILIES[family], **_foreign(family, name)}
    shown = {name: members[name]} if name in members else members
    listed = "\n".join(f"  {member:15} {_first_line(kind)}" for member, kind in shown.items())
    group = parser.add_argument_group(family, f"{FAMILY_HELP.get(family, '')}\n{listed}".strip("\n"))
    choices = ", ".join(recipes.FAMILIES[family])
    group.add_argument(f"--{family}", metavar="NAME", help=f"{choices}, or my_module:Name")
    visible = {flag.name: flag for flag in flags_of(family, shown)}
    for flag in [*visible.values(), *(flag for flag in flags_of(family, members) if flag.name not in visible)]:
        add_flag(parser, group, flag, _help(flag, len(shown)) if flag.name in visible else argparse.SUPPRESS)


def _help(flag: Flag, shown: int) -> str:
    """The help of a field: with its default where one member is shown, else with the members that have it."""
    about = HELP.get(flag.name, flag.name.replace("_", " ")).replace("%", "%%")
    if shown > 1:
        return f"{about} ({', '.join(flag.owners)})"
    default = next(iter(flag.owners.values()))
    return f"{about} (default: the recipe's{'' if default is dataclasses.MISSING else f', else {_plain(default)}'})"


def _plain(default: Any) -> str:
    levels = (getattr(default, "highest", None), getattr(default, "lowest", None))
    return str(default).replace("%", "%%") if None in levels else f"{levels[0]:g}:{levels[1]:g}"


def add_flag(parser: argparse.ArgumentParser, group: Any, flag: Flag, about: str) -> None:
    """Adds the flag of a field. Raises ValueError where another argument has its name."""
    options: dict[str, Any] = {"help": about, "dest": flag.name}
    if flag.kind == "bool":
        options |= {"action": argparse.BooleanOptionalAction, "default": None}
    elif any(word in flag.kind for word in ("Scale", "Linear", "Spaced")):
        options |= {"type": scale, "metavar": "X[:Y]"}
    else:
        options |= {"type": READERS.get(flag.kind, literal), "metavar": METAVARS.get(flag.kind, "VALUE")}
    taken = (
        f"{' and '.join(flag.owners)} has a field {flag.name!r}, expected another name, as {flag.option} is taken by "
        f"{parser.prog}: rename it"
    )
    if flag.name in TAKEN:
        raise ValueError(taken)
    try:
        group.add_argument(flag.option, **options)
    except argparse.ArgumentError as fault:
        raise ValueError(taken) from fault


def _first_line(kind: Any) -> str:
    return (kind.__doc__ or "").strip().partition("\n")[0]
