"""What is on screen as files, as a command and as Python that make it again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from ppgn import evaluation, images, loaders, recipes
from ppgn.samplers import Linear, Spaced
from ppgn.web import settings, shell, wishes
from ppgn.web.visitor import Asked, Call, Visitor, texts
from ppgn.web.wishes import Known

CODES, PICTURE, MASK = "start.safetensors", "picture.png", "mask.png"
FRAMES_PER_SECOND = 8.0


def command(visitor: Visitor, known: Known) -> str:
    """The command that makes the pictures on screen again, or a comment that says why none does."""
    if visitor.run is None or visitor.bundle is None or not visitor.calls:
        return ""
    words = _words(visitor, known)
    return f"# {words}: the Python below does it, no single command" if isinstance(words, str) else shell.line(words)


def _words(visitor: Visitor, known: Known) -> list[str] | str:
    """The words of the command, or why there is none."""
    run, asked = visitor.run, visitor.calls[0].asked
    assert run is not None and visitor.bundle is not None and asked is not None
    said = wishes.words(asked.wishes, known) if asked.wishes else []
    if any(call.name == "ask" for call in visitor.calls):
        return "what was wanted changed on the way"
    if visitor.began_at is not None:
        return "the chains began at a picture's code"
    if run.request is not None and len(set(run.request.names)) > 1:
        return "each chain has a target of its own"
    flags = _recipe_words(replace(asked, changes={**asked.changes, "steps": run.step}) if run.left else asked)
    if said is None or flags is None:
        return "one command cannot say these wishes together"
    if run.left and (visitor.hole is not None or _is_scheduled(visitor)):
        return "the chains were stopped before their end"
    kind = "sample" if visitor.hole is None else "inpaint"
    words = ["ppgn", kind, visitor.where, *([] if visitor.hole is None else [PICTURE, *shell.option("mask", MASK)]), *said]
    words += shell.option("count", visitor.count) + shell.option("seed", visitor.seed) + flags
    if visitor.hole is not None:
        words += shell.option("start_noise", visitor.start_noise)
    elif recipes.recipe_for(visitor.bundle, wishes.kind_of(asked.wishes), asked.recipe or None).retries.tries > 1:
        words += shell.option("tries", 1)
    folder = "samples" if visitor.hole is None else "filled"
    return [*words, *shell.option("batch", visitor.count), *shell.option("save_images", folder)]


def _recipe_words(asked: Asked) -> list[str] | None:
    """The words for a recipe and its changes; None where the command line takes them for something else.

    There the measure is the unit's wherever there is one, and neither it nor its temperature stands without classes and
    sentences, which alone have them. A network runs in the precision of its page also where a recipe is named.
    """
    kinds = {wish.kind for wish in asked.wishes}
    changes = dict(asked.changes)
    if not kinds & {"class", "sentence"}:
        changes = {name: value for name, value in changes.items() if name not in ("measure", "temperature")}
    if "measure" in changes and "unit" in kinds:
        return None
    found = settings.flags(asked.recipe, changes)
    is_plugged = any(wish.network not in ("", loaders.BUNDLE_CLASSIFIER) for wish in asked.wishes)
    return found + (shell.option("network_precision", "auto") if is_plugged and asked.recipe else [])


def python(visitor: Visitor, known: Known) -> str:
    """The calls of Python that make the pictures on screen again."""
    if visitor.run is None or visitor.bundle is None:
        return ""
    lines = ["import ppgn", "", f"bundle = ppgn.load({visitor.where!r})"]
    beside = replace(known, directions={name: (direction_file(name), layer) for name, (_, layer) in known.directions.items()})
    for call in visitor.calls:
        lines += _lines(visitor, call, beside)
    end = 'run.samples.save("samples")'
    if visitor.hole is not None:
        lines[1:1] = ["from ppgn import images, sampling"]
        end = 'sampling.write_fillings(run.inpainted, "filled")'
    elif visitor.began_at is not None:
        lines[1:1] = ["from safetensors.torch import load_file"]
    return "\n".join([*lines, end]) + "\n"


def _lines(visitor: Visitor, call: Call, known: Known) -> list[str]:
    if call.asked is None:
        return [f"list(run.steps({call.steps}))"]
    changes = [f"{name}={value!r}" for name, value in call.asked.changes.items()]
    changes = ([f"recipe={call.asked.recipe!r}"] if call.asked.recipe else []) + changes
    wanted = wishes.python(call.asked.wishes, known) if call.asked.wishes else "None"
    lines = [f"wanted = {wanted}"]
    if call.name == "ask":
        changes = changes if visitor.hole is None else ["recipe=run.recipe"]
        return [*lines, f"run.ask({', '.join(['wanted', *changes])})"]
    options = [f"count={visitor.count}", f"seed={visitor.seed}"]
    if call.name == "in_paint":
        lines.append(f'picture = images.load_image("{PICTURE}", bundle.image.size, bundle.image.channels)')
        lines.append(f'known = images.file_mask("{MASK}", bundle.image.size)')
        options.append(f"start_noise={visitor.start_noise!r}")
        return [*lines, f"run = sampling.LiveRun.in_paint({', '.join(['bundle, picture, known, wanted', *options, *changes])})"]
    if visitor.began_at is not None:
        options += [f'code=load_file("{CODES}")["code"]', f"start_noise={visitor.start_noise!r}"]
    return [*lines, f"run = ppgn.sampling.LiveRun({', '.join(['bundle, wanted', *options, *changes])})"]


def files(visitor: Visitor, known: Known) -> list[str]:
    """What is on screen as files, in the place of those made before: the grid, each picture, the film as GIF and, where PyAV is
    installed, as MP4, the codes, a page that says it all, and what the calls need to begin with."""
    run = visitor.run
    if run is None or run.evaluation is None:
        raise ValueError("got no pictures to save, expected some: begin a run first")
    folder = visitor.room / "files"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    samples = run.samples
    pictures = shown(visitor)
    labels = None
    if run.request is not None:
        labels = [run.request.label(chain, value, run.recipe.measure) for chain, value in enumerate(samples.log_prob.tolist())]
    grid = images.grid(pictures, labels)
    images.save_image(grid, folder / "grid.png")
    for seed, image in zip(samples.seeds, pictures, strict=True):
        images.save_image(image, folder / f"picture_{seed}.png")
    save_file({"code": samples.codes.contiguous()}, folder / "codes.safetensors")
    if visitor.began_at is not None:
        save_file({"code": visitor.began_at.contiguous()}, folder / CODES)
    if visitor.hole is not None:
        images.save_image(run.inpainted.picture, folder / PICTURE)
        images.save_image(1 - run.inpainted.known, folder / MASK)
    for name in {wish.value for call in visitor.calls if call.asked for wish in call.asked.wishes if wish.kind == "direction"}:
        shutil.copyfile(known.directions[name][0], folder / direction_file(name))
    _films(visitor, folder)
    text = python(visitor, known)
    (folder / "again.py").write_text(text, encoding="utf-8")
    _page(visitor, grid, f"{command(visitor, known)}\n\n{text}", folder / "page.html")
    return [str(file) for file in sorted(folder.iterdir())]


def direction_file(name: str) -> str:
    """The name of the file of an uploaded direction, unlike those of other files."""
    return f"direction_{name}.safetensors"


def _films(visitor: Visitor, folder: Path) -> None:
    frames = visitor.course.frames
    if not frames:
        return
    images.save_video(frames, folder / "film.gif", frames_per_second=FRAMES_PER_SECOND)
    film = folder / "film.mp4"
    if _is_possible(lambda: images.check_video(film, FRAMES_PER_SECOND)):
        images.save_video(frames, film, frames_per_second=FRAMES_PER_SECOND)


def _page(visitor: Visitor, grid: Any, text: str, file: Path) -> None:
    run, samples = visitor.run, visitor.run.samples  # type: ignore[union-attr]
    asked = next(call.asked for call in reversed(visitor.calls) if call.asked is not None)
    rows = [{"seed": seed, samples.quantity: value} for seed, value in zip(samples.seeds, samples.log_prob.tolist(), strict=True)]
    about = {"recipe": run.recipe.to_json(), "request": dict(samples.about), "environment": dict(samples.run)}  # type: ignore[union-attr]
    title = f"{texts(asked.wishes)} by {samples.bundle}"
    page = evaluation.sample_page(
        grid, rows, visitor.course, title=title[:100], quantity=samples.quantity, settings=about, command=text
    )
    file.write_text(page, encoding="utf-8")


def _is_possible(check: Callable[[], object]) -> bool:
    try:
        check()
    except ValueError:  # PyAV is an extra
        return False
    return True


def _is_scheduled(visitor: Visitor) -> bool:
    """Whether the rule of the run changes with the share of the steps that are made, so that fewer steps are another chain."""
    sampler = visitor.run.recipe.sampler  # type: ignore[union-attr]
    return any(isinstance(value, Linear | Spaced) for value in vars(sampler).values())


def asked_of(visitor: Visitor) -> Asked | None:
    """What the run on screen was asked for last."""
    return next((call.asked for call in reversed(visitor.calls) if call.asked is not None), None)


def shown(visitor: Visitor) -> Tensor:
    """The pictures on screen, `[chain, channel, height, width]`: of a filled hole without its seam."""
    run = visitor.run
    assert run is not None
    return run.samples.images.clamp(0, 1) if visitor.hole is None else run.inpainted.blended()
