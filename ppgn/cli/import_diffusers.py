"""`ppgn import-diffusers`: a bundle whose parts are references to a pipeline or an autoencoder of diffusers."""

from __future__ import annotations

import argparse
from pathlib import Path

from ppgn import importers
from ppgn.cli.import_caffe import say

EXAMPLES = """examples:
  ppgn import-diffusers stabilityai/sd-vae-ft-mse --size 512 --out checkpoints/sd-vae
  ppgn import-diffusers CompVis/ldm-celebahq-256 --out checkpoints/celebahq
  ppgn import-diffusers stable-diffusion-v1-5/stable-diffusion-v1-5 --prompt "a church" --guidance-scale 5 --out checkpoints/sd15
  ppgn import-diffusers stabilityai/stable-diffusion-3-medium-diffusers --autoencoder madebyollin/taesd3 --out checkpoints/sd3
  ppgn import-diffusers folder/of/save_pretrained --out checkpoints/mine
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = (
        "A bundle of an autoencoder and a score model of diffusers. Their weights stay in the cache of the hub or in the "
        "folder; the bundle holds revision, size and SHA-256 of each file, which are compared at every load."
    )
    parser.epilog = EXAMPLES
    parser.add_argument("repository", metavar="REPO_OR_FOLDER", help="OWNER/NAME of the hub, or what save_pretrained wrote")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="bundle to write")
    parser.add_argument("--name", help="of the bundle (default: the folder's)")
    parser.add_argument("--revision", help="branch, tag or commit of the repository (default: its main branch)")
    parser.add_argument("--autoencoder", metavar="REPO_OR_FOLDER", help="another autoencoder, such as a tiny one")
    parser.add_argument("--size", metavar="PIXELS", help="of pictures, SIDE or HEIGHTxWIDTH (default: the score model's)")
    parser.add_argument("--prompt", metavar="TEXT",
                        help="for the score model, embedded now by the pipeline's text encoder (default: zeros)")  # fmt: skip
    parser.add_argument("--guidance-scale", type=float, default=1.0, metavar="W",
                        help="of class-free guidance towards the prompt (default: 1, none)")  # fmt: skip


def run(given: argparse.Namespace) -> int:
    """Reads everything, checks that it fits together, writes the bundle."""
    importers.check_place(given.out)
    wanted = importers.Wanted(
        given.repository, given.autoencoder, given.revision, _size(given.size), given.prompt, given.guidance_scale
    )
    made = importers.read_pipeline(wanted, say)
    if made.left_out:
        say(made.left_out)
    importers.write_pipeline(given.out, given.name or Path(given.out).resolve().name, made)
    config = made.parts["generator"].config
    prior = made.parts["noise_level"].config.kind if "noise_level" in made.parts else "none"
    print(f"wrote {given.out}: {config.width}x{config.height} px, codes {list(config.code_shape)}, prior {prior}")
    return 0


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    sides = text.split("x")
    if len(sides) > 2 or not all(side.isdecimal() and 0 < int(side) <= 8192 for side in sides):
        raise ValueError(f"got --size {text!r}, expected SIDE or HEIGHTxWIDTH of up to 8192 pixels: write 512")
    return int(sides[0]), int(sides[-1])
