"""Repositories or folders of diffusers -> a bundle whose parts are references to their files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from ppgn.bundle import check_place, reference_to, save_bundle
from ppgn.errors import one_line, required
from ppgn.latent_diffusion import (
    AUTOENCODERS,
    SCORES,
    LatentEncoder,
    LatentEncoderConfig,
    LatentGenerator,
    LatentGeneratorConfig,
    LatentScore,
    LatentScoreConfig,
    described,
    downsampling,
    read_config,
)
from ppgn.recipes import Recipe
from ppgn.types import CodeSpace, ImageSpec

WEIGHTS = "diffusion_pytorch_model"
SETTINGS = ("model_index.json", "config.json", "*/config.json", "*/scheduler_config.json")
TEXTS = ("text_encoder*/*.json", "text_encoder*/model*.safetensors", "tokenizer*/*")
SIDE = 256
"""Pixels a side where nothing says for which size a network was trained."""
STEPS = 50
"""Of the stored recipes, as most pipelines of the library have it."""


@dataclass(frozen=True)
class Repository:
    """Files of a published pipeline or network: where they are now, and what a reference calls the place."""

    place: str
    folder: Path
    source: str
    revision: str | None = None

    @classmethod
    def of(cls, place: str, revision: str | None = None) -> Repository:
        """A folder, or OWNER/NAME of the hub, of which the settings are fetched. ValueError where there is none."""
        if Path(place).is_dir():
            folder = Path(place).resolve()
            return cls(place, folder, f"file://{folder}")
        folder = _snapshot(place, revision, SETTINGS)
        return cls(place, folder, f"hf://{place}@{folder.name}", folder.name)

    def with_files(self, patterns: Sequence[str]) -> Repository:
        """The same with the files of these patterns; fetched where it is one of the hub."""
        return self if self.revision is None else replace(self, folder=_snapshot(self.place, self.revision, patterns))

    def reference(self, *folders: str) -> dict[str, Any]:
        """The reference to the settings and the weights in these folders of it. ValueError without safetensors."""
        prefixes = [f"{name}/" if name else "" for name in folders]
        names = ("config.json", "scheduler_config.json", f"{WEIGHTS}.safetensors", f"{WEIGHTS}.safetensors.index.json",
                 f"{WEIGHTS}-*.safetensors")  # fmt: skip
        patterns = [prefix + name for prefix in prefixes for name in names]
        here = self.with_files(patterns).folder
        paths = {path.relative_to(here).as_posix() for one in patterns for path in here.glob(one)}
        for prefix in prefixes:
            weights = [path for path in paths if path.startswith(prefix) and path.endswith(".safetensors")]
            if f"{prefix}config.json" in paths and not weights:
                raise ValueError(
                    f"{self.place} has no {prefix}{WEIGHTS}.safetensors, expected weights as safetensors: name a revision or "
                    f"repository that has them, or save it with save_pretrained"
                )
        if f"{prefixes[0]}{WEIGHTS}.safetensors" in paths:  # and shards of another precision, maybe
            paths = {path for path in paths if not path.endswith(".index.json") and f"{WEIGHTS}-" not in path}
        return reference_to(self.source, here, paths)


def _snapshot(place: str, revision: str | None, patterns: Sequence[str]) -> Path:
    hub = required("huggingface_hub", f"{place} is no folder, and the hub needs huggingface_hub", "huggingface_hub")
    try:
        return Path(hub.snapshot_download(place, revision=revision, allow_patterns=list(patterns)))
    except Exception as fault:  # of the client, of the network under it, of the disk
        raise ValueError(
            f"{place!r} is no folder, and cannot be read from the hub or its cache ({one_line(fault)}): correct the name, "
            f"connect to the network, or give a folder that save_pretrained wrote"
        ) from fault


@dataclass(frozen=True)
class Wanted:
    """What a bundle is made of: the repository, that of another autoencoder, and settings.

    size: (height, width) of pictures, None for that of the score model. prompt: None for zeros in the place of its embedding;
    "" is the empty prompt. guidance_scale: of class-free guidance towards the prompt, 1 for none. inputs: of the score model, by
    "given." or "empty." and an argument's name, where the caller has made them.
    """

    repository: str
    autoencoder: str | None = None
    revision: str | None = None
    size: tuple[int, int] | None = None
    prompt: str | None = None
    guidance_scale: float = 1.0
    inputs: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Pipeline:
    """The parts of a bundle, the sentence that says what is left out, and the licence's source."""

    parts: Mapping[str, Any]
    left_out: str
    sources: tuple[str, ...]


def read_pipeline(wanted: Wanted, say: Callable[[str], None]) -> Pipeline:
    """Reads autoencoder and score model, and checks that they fit. ValueError for what is missing, wrong or not known."""
    main = Repository.of(wanted.repository, wanted.revision)
    other = main if wanted.autoencoder is None else Repository.of(wanted.autoencoder)
    names, score = _component(other, AUTOENCODERS), _component(main, SCORES)
    if names is None:
        raise ValueError(
            f"{other.place} has no autoencoder ({_listed(other)}), expected one of {', '.join(AUTOENCODERS)}: name another "
            f"repository, or one that has it as the autoencoder"
        )
    (folder, kind), settings = names, read_config(other.folder / names[0])
    say(f"reading {kind}")
    size = wanted.size or _size(main, score, settings)
    fields = described(kind, settings, *size, folder)
    config, reference = LatentGeneratorConfig(**fields), other.reference(folder)
    here = other.with_files([one["path"] for one in reference["files"]]).folder
    parts: dict[str, Any] = {
        "generator": LatentGenerator.of_folder(here, config),
        "encoder": LatentEncoder.of_folder(here, LatentEncoderConfig(**fields)),
    }
    for part in parts.values():
        part.reference = reference
    if score is not None:
        say(f"reading {score[1]}")
        parts["noise_level"] = _score(main, score, config, wanted, say)
    left = "" if score or wanted.repository == wanted.autoencoder else _left_out(main)
    return Pipeline(parts, left, tuple(dict.fromkeys((main.source, other.source))))


def _score(main: Repository, score: tuple[str, str], config: LatentGeneratorConfig, wanted: Wanted, say: Any) -> LatentScore:
    folder, kind = score
    channels = int(read_config(main.folder / folder).get("in_channels", 0))
    if channels != config.code_shape[0]:
        raise ValueError(
            f"the {kind} takes codes of {channels} channels, the {config.kind} has {config.code_shape[0]}, expected as many: "
            f"name the autoencoder that it was trained with"
        )
    if not (main.folder / "scheduler" / "scheduler_config.json").is_file():
        raise ValueError(f"{main.place} has no scheduler, expected its folder beside {folder}: name a whole pipeline")
    own = dict(wanted.inputs)
    if wanted.prompt is not None:
        say("reading the prompt")
        own = {**_embedded(main, wanted.prompt), **own}
    made = LatentScoreConfig(kind, folder, "scheduler", config.code_shape, wanted.guidance_scale)
    reference = main.reference(folder, "scheduler")
    here = main.with_files([one["path"] for one in reference["files"]]).folder
    network = LatentScore.of_folder(here, made, own)
    network.reference = reference
    return network


def _component(repository: Repository, kinds: Sequence[str]) -> tuple[str, str] | None:
    """(folder, class) of the first component of these classes; the folder of a lone network is ""."""
    for folder, kind in _components(repository).items():
        if kind in kinds:
            return folder, kind
    return None


def _components(repository: Repository) -> dict[str, str]:
    folder = repository.folder
    if (folder / "model_index.json").is_file():
        index = read_config(folder, "model_index.json")
        return {name: str(entry[1]) for name, entry in index.items() if isinstance(entry, list) and len(entry) == 2 and entry[1]}
    return {"": str(read_config(folder).get("_class_name"))}


def _listed(repository: Repository) -> str:
    return ", ".join(_components(repository).values())


def _left_out(repository: Repository) -> str:
    networks = [kind for kind in _components(repository).values() if "Transformer" in kind or "UNet" in kind]
    return f"{networks[0]} is not known as a prior, expected {', '.join(SCORES)}: the bundle has none" if networks else ""


def _size(main: Repository, score: tuple[str, str] | None, settings: Mapping[str, Any]) -> tuple[int, int]:
    """The size of pictures for which the score model was trained."""
    found = None if score is None else read_config(main.folder / score[0]).get("sample_size")
    if found is None:
        return SIDE, SIDE
    height, width = found if isinstance(found, list) else (found, found)
    return height * downsampling(settings), width * downsampling(settings)


def _embedded(main: Repository, prompt: str) -> dict[str, Tensor]:
    """Embeddings of a prompt and of the empty one, by the pipeline's own text encoders."""
    pipelines = required("diffusers", "prompts need diffusers", "ppgn[diffusers]").DiffusionPipeline
    folder = main.with_files([*SETTINGS, *TEXTS]).folder
    unused = {name: None for name in _components(main) if not name.startswith(("text_encoder", "tokenizer", "scheduler"))}
    try:
        pipeline: Any = pipelines.from_pretrained(str(folder), local_files_only=True, use_safetensors=True, **unused)
        names = pipeline.encode_prompt.__code__.co_varnames[: pipeline.encode_prompt.__code__.co_argcount]
        others = {name: prompt for name in ("prompt_2", "prompt_3") if name in names}
        given = {"prompt": prompt, "device": "cpu", "num_images_per_prompt": 1, "do_classifier_free_guidance": True}
        found = pipeline.encode_prompt(**given, **others)
    except Exception as fault:  # whatever a pipeline raises
        raise ValueError(
            f"the prompt cannot be embedded by {main.place} ({one_line(fault)}), expected a pipeline with text encoders as "
            f"safetensors: leave the prompt out, or pass embeddings as inputs"
        ) from fault
    sequence = {"given": found[0], "empty": found[1]}
    own = {f"{which}.encoder_hidden_states": value.float() for which, value in sequence.items()}
    if len(found) == 4:
        pooled = "added_cond_kwargs.text_embeds" if "unet" in _components(main) else "pooled_projections"
        own |= {f"{which}.{pooled}": value.float() for which, value in zip(sequence, found[2:], strict=True)}
    return own


def write_pipeline(folder: str | Path, name: str, made: Pipeline) -> Path:
    """Writes the bundle. ValueError as `save_bundle`.

    With a score model its recipe is the library's rule, Euler's steps of the probability flow, guided by the condition; without
    one an ascent with R(h) = E(G(h)) as the prior.
    """
    check_place(folder)
    generator, score = made.parts["generator"], made.parts.get("noise_level")
    config = generator.config
    common: dict[str, Any] = {"bounds": "none", "measure": "log_softmax", "steps": STEPS + 1}
    if score is None:
        recipe = Recipe().changed(sampler="adaptive", step_size=(0.1, 0.02), prior_scale=0.05, **common)
    else:
        form = score.parametrisation
        flow = {"levels": (form.highest, form.lowest), "corrections": 0, "condition_scale": 1.0}
        recipe = Recipe().changed(sampler="annealed", prior="noise_level", start="mean", start_std=0.0, **flow, **common)
    return save_bundle(
        folder,
        name=name,
        parts=made.parts,
        code=CodeSpace(config.code_shape, mean=0.0, std=1.0),
        image=ImageSpec(config.height, config.width, config.channels),
        recipes={"class": recipe.to_json(), "plugged": recipe.to_json()},
        source=" and ".join(made.sources),
        licence="that of the source",
    )
