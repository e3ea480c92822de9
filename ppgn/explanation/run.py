"""A report for each target: its parts one after the other, each safe on disk when it is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ppgn import images, loaders, recipes, requests
from ppgn.acceleration import facts_of_run
from ppgn.bundle import Bundle
from ppgn.explanation import attribution, measure, nearby, real, sweep, synthetic, transfer, where
from ppgn.explanation.folder import ReportFolder, folders_of, reports_beside, write_index
from ppgn.explanation.options import ExplainOptions, options_of
from ppgn.explanation.study import (
    Part,
    Pictures,
    Second,
    Study,
    Tick,
    load_pictures,
    second_network,
    student_t,
)
from ppgn.explanation.target import Target, target_of
from ppgn.facets import scikit
from ppgn.loaders import BUNDLE_CLASSIFIER
from ppgn.probe import Preprocessed
from ppgn.requests import Request, UnitRequest
from ppgn.types import Image

OnPasses = Callable[[int, int, str], None]
"""Called with the passes done since the last call, all passes of the run, and what is being done."""
OnKept = Callable[[Mapping[str, Sequence[str]]], object]
"""Called with name of a target -> the parts that were there and are kept, before long work, where any are."""
PARTS: dict[str, Any] = {
    "real": real, "synthetic": synthetic, "sweep": sweep, "nearby": nearby, "where": where, "transfer": transfer,
}  # fmt: skip
"""Part -> the module with its `passes`, in their order in a report."""
FROM = {"where": ("synthetic",), "transfer": ("synthetic", "sweep")}
"""Part -> the parts whose pictures it shows: it is made anew with them."""


def explain(
    bundle: Bundle | str | Path,
    wanted: Any,
    out: str | Path = "report",
    *,
    folder: str | Path | None = None,
    second: Second | Preprocessed | None = None,
    bundles: Sequence[Bundle | str | Path] = (),
    parts: Sequence[str] = tuple(PARTS),
    command: str = "",
    watch: OnPasses | None = None,
    on_kept: OnKept | None = None,
    **options: Any,
) -> list[dict[str, Any]]:
    """What does a unit, direction, latent, class or function want? A report for each target, as plain data and as a page.

    wanted: a request (`requests.parse`, `ppgn.unit`) or whatever `ppgn.sample` takes, one report for each of its targets. out:
    the folder of the report: report.html, which needs no other file, report.json and all pictures; of several targets a folder
    each, and index.html, which lists the reports of earlier calls, too. folder: of real pictures, of which those that cannot be
    read are skipped with a warning; without it pictures drawn from the bundle's prior take their place. second: another network,
    by which pictures are compared and in which the best-matching unit is looked for; by default the bundle's encoder, unless
    that is the network that is explained. bundles: further ones whose priors are shown. parts: of PARTS. options: settings of
    `ExplainOptions`. A run that was killed goes on with the same arguments; on_kept: told which parts it finds done.

    Raises ValueError for what does not fit, an option that there is not among it, and where `out` holds another report.
    """
    chosen = options_of(options, explain.__kwdefaults__)
    bundle = loaders.bundle(bundle)
    if unknown := [part for part in parts if part not in PARTS]:
        raise ValueError(f"got the part {unknown[0]!r} of a report, expected {', '.join(PARTS)}: choose among these")
    explained = targets(bundle, wanted)
    found_second = _second(second, bundle, explained)
    others = tuple(loaders.bundle(one, bundle.device) for one in bundles)
    _check_installed(bundle, parts)
    run = _Run(bundle, explained, found_second, others, chosen, tuple(parts), command, watch, on_kept)
    pictures = run.pictures(folder)
    root = images.make_folder(out)
    with images.alone_in(root):
        return run.all(root, folder, pictures)


def _check_installed(bundle: Bundle, parts: Sequence[str]) -> None:
    """Raises ValueError before long work for a package that the parts need and that is not installed."""
    if "where" in parts:
        attribution.captum()
    if "synthetic" in parts and bundle.encoder is not None:
        scikit()
    if {"sweep", "transfer"} & {*parts}:
        student_t()


def targets(bundle: Bundle, wanted: Any) -> list[Target]:
    """The targets of a request or of whatever `ppgn.sample` takes, one response each. Raises ValueError for what is none."""
    request = requests.of(bundle, wanted, None, default=1)
    setup = recipes.prepare(bundle, recipes.recipe_for(bundle, "plugged", precision="float32", measure="logit"))
    example = loaders.two_images(bundle)
    network = getattr(request, "network", None)
    alone = [_alone(request, row) for row in range(len(request))]
    return [target_of(one, network, example, setup.passes) for one in alone]


def _alone(request: Request, row: int) -> Request:
    """One target of a request, which knows nothing of the others: its report is the same whatever else is explained."""
    one = request.select([row])
    if not isinstance(one, UnitRequest):
        return one
    return replace(one, address=replace(one.address, units=one.units), about={**one.about, "unit": one.names[0]})


def _second(given: Second | Preprocessed | None, bundle: Bundle, targets: Sequence[Target]) -> Second | None:
    """The second network, by default the bundle's own where another one is explained."""
    if isinstance(given, Second):
        return given
    if given is not None:
        return second_network(type(given.network).__name__, given, bundle.image)
    named = {target.request.describe().get("network", BUNDLE_CLASSIFIER) for target in targets}
    if named & {BUNDLE_CLASSIFIER, loaders.trunk_source(bundle)} or bundle.encoder is None or not bundle.classes:
        return None
    return second_network(BUNDLE_CLASSIFIER, loaders.network(BUNDLE_CLASSIFIER, bundle=bundle), bundle.image)


@dataclass(frozen=True, eq=False)
class _Run:
    """All reports of one call."""

    bundle: Bundle
    targets: Sequence[Target]
    second: Second | None
    bundles: tuple[Bundle, ...]
    options: ExplainOptions
    parts: tuple[str, ...]
    command: str
    watch: OnPasses | None
    on_kept: OnKept | None

    def all(self, root: Path, folder: str | Path | None, pictures: Pictures) -> list[dict[str, Any]]:
        """Measures the pictures once, then makes each report that is not there."""
        several = len(self.targets) > 1
        folders = folders_of([target.name for target in self.targets])
        places = [root / name if several else root for name in folders]
        facts = self._facts(folder, pictures)
        reports = [ReportFolder(place, target.request, facts) for place, target in zip(places, self.targets, strict=True)]
        others = reports_beside(root, reports)
        work = measure.passes(self.targets, self.bundle, self.second, len(pictures))
        nothing = torch.zeros(len(pictures))
        codes = None if self.bundle.encoder is None else nothing[:, None]
        empty = [self._study(target, pictures, nothing, codes, {}) for target in self.targets]
        due = [self._due(report) for report in reports]
        self._tell_kept(due)
        planned = [{part: PARTS[part].passes(study) for part in names} for study, names in zip(empty, due, strict=True)]
        total = work + sum(sum(one.values()) for one in planned)
        if any(due):
            measured = measure.measure(self.targets, self.bundle, self.second, pictures, self._tick(total, "looking at pictures"))
            self._check_responses(measured.responses, due)
        faults: list[tuple[str, ValueError]] = []
        for row, report in enumerate(reports):
            study = empty[row]
            if due[row]:
                study = self._study(self.targets[row], pictures, measured.responses[row], measured.codes, measured.vectors)
            try:
                for part in due[row]:
                    self._make(report, part, study, total, planned[row][part])
            except ValueError as fault:
                faults.append((self.targets[row].name, fault))
            finally:
                report.finish(tuple(PARTS))
                if several or others:
                    write_index(root, reports, others)
        if faults:
            name, fault = faults[0]
            of = f" ({len(faults)} of {len(reports)} reports)" if several else ""
            raise ValueError(f"the report of {name} ended before its last part{of}: {fault}") from fault
        return [report.data for report in reports]

    def _check_responses(self, responses: Tensor, due: Sequence[Sequence[str]]) -> None:
        """Raises ValueError for a target that is to be explained and whose responses are all NaN or infinite."""
        for target, row, parts in zip(self.targets, responses, due, strict=True):
            if parts and not bool(row.isfinite().any()):
                raise ValueError(
                    f"the responses of {target.name} to all {len(row)} real pictures are NaN or infinite, expected numbers: "
                    f"check the network's weights, and the size, mean and precision of its input, or leave this target out"
                )

    def _due(self, report: ReportFolder) -> list[str]:
        """The parts that are to be made, in their order."""
        due: list[str] = []
        for part in PARTS:
            made = report.kept(part) is not None
            if (part in self.parts and not made) or (made and any(one in due for one in FROM.get(part, ()))):
                due.append(part)
        return due

    def _tell_kept(self, due: Sequence[Sequence[str]]) -> None:
        """Says which of the parts that were asked for need not be made."""
        asked = [part for part in PARTS if part in self.parts]
        kept = {target.name: [part for part in asked if part not in made] for target, made in zip(self.targets, due, strict=True)}
        if self.on_kept is not None and any(kept.values()):
            self.on_kept(kept)

    def _make(self, report: ReportFolder, part: str, study: Study, total: int, planned: int) -> None:
        """One part of a report, onto the disk. What a part took less than planned, is told at its end."""
        done = 0
        tell = self._tick(total, f"{study.target.name}: {part}")

        def tick(count: int) -> None:
            nonlocal done
            count = min(count, planned - done)
            done += count
            tell(count)

        begin = time.perf_counter()
        made = _part(part, study, report, tick)
        for later in [later for later, shown in FROM.items() if part in shown]:
            report.data["parts"].pop(later, None)
        report.keep(part, made, time.perf_counter() - begin)
        tell(planned - done)

    def _tick(self, total: int, what: str) -> Tick:
        return (lambda count: None) if self.watch is None else lambda count: self.watch(count, total, what)  # type: ignore[misc]

    def pictures(self, folder: str | Path | None) -> Pictures:
        """The real pictures, or those of the prior in their place."""
        most = self.options.pictures
        if folder is None:
            return measure.drawn_pictures(self.bundle, most, self.options.seed)
        return load_pictures(folder, self.bundle.image, most)

    def _study(self, target: Target, pictures: Pictures, responses: Any, codes: Any, vectors: Mapping[str, Any]) -> Study:
        return Study(self.bundle, target, pictures, responses, codes, self.second, vectors, self.options, self.bundles)

    def _facts(self, folder: str | Path | None, pictures: Pictures) -> dict[str, Any]:
        """What a report depends on besides its target."""
        return {
            "bundle": self.bundle.name,
            "weights": requests.weights_of(self.bundle),
            "pictures": {
                "folder": None if folder is None else str(folder),
                "count": len(pictures),
                "skipped": list(pictures.skipped),
            },
            "files": None if folder is None else measure.folder_facts(folder, pictures.files),
            "second": None if self.second is None else self.second.name,
            "second_weights": None if self.second is None else requests.fingerprint(self.second.probe.network, weights=True),
            "bundles": [one.name for one in self.bundles],
            "bundles_weights": [requests.weights_of(one) for one in self.bundles],
            "options": vars(self.options) | {"strengths": list(self.options.strengths)},
            "command": self.command,
            "versions": facts_of_run(self.bundle.device, self.options.chains),
        }


def _part(name: str, study: Study, report: ReportFolder, tick: Tick) -> Part:
    """One part. Those that look at synthetic pictures take them from the files of the parts before."""
    if name == "where":
        most, channels = study.options.where, study.bundle.image.channels
        shown = {"real": study.pictures.images(study.order[:most].tolist())}
        made = report.pictures("synthetic", report.synthetic_names(synthetic.LEARNED, best_first=True)[:most], channels)
        return where.where(study, shown | ({} if made is None else {"synthetic": made}), tick)
    if name == "transfer":
        return transfer.transferred(study, _sets(report, study), tick)
    module = PARTS[name]
    return getattr(module, name)(study, tick)


def _sets(report: ReportFolder, study: Study) -> dict[str, Image]:
    """Pictures by set, `[group, picture, ...]`: facets of the synthetic part, the sweep's last chains, and controls of both."""
    found, chains, channels = {}, study.options.chains, study.bundle.image.channels
    for name, kind in (("synthetic", synthetic.LEARNED), ("control", synthetic.CONTROL)):
        made = report.pictures("synthetic", report.synthetic_names(kind), channels)
        if made is not None:
            alike = study.options.per_facet if name == "synthetic" and len(made) % study.options.per_facet == 0 else 1
            found[name] = made.unflatten(0, (-1, alike))
    kept = report.data["parts"].get("sweep", {}).get("kept", 0)
    for name, file in (("sweep", "unit"), ("sweep_control", "control")):
        made = report.pictures("sweep", [f"{file}_set_{number}" for number in range(chains * kept)], channels)
        if made is not None:
            found[name] = made.unflatten(0, (chains, kept))
    return found
