"""What can be typed. Nothing here needs torch, so that --help is quick."""

from __future__ import annotations

import argparse

from ppgn.cli.import_arguments import add_imports

EXAMPLES = """examples:
  ppgn sample imagenette64 --class church --out church.png
  ppgn sample imagenette64 --class "golf ball" parachute --count 8 --steps 200 --seed 0 --out two.png
  ppgn sample imagenette64 --class all --count 4 --save-images samples/ --device cuda
  ppgn sample imagenette64 --unit trunk.12:7 --sampler released --step-size 0.3 --prior-scale 0.001
  ppgn sample imagenette64 --network torchvision:resnet18 --weights resnet18.pth --unit layer4.1.conv2:17 --sampler released
  ppgn sample imagenette64 --network torchvision:resnet18 --weights resnet18.pth --class "tabby"
  ppgn sample imagenette64 --condition my_module:my_function --sampler released --step-size 0.3
  ppgn sample imagenette64 --class church --recipe dgn_am --out dgn_am.png
  ppgn chain imagenette64 --class church parachute "golf ball" --steps 40 --out walk.gif
  ppgn inpaint imagenette64 photo.jpg --box 20,20,28,28 --out filled.png
  ppgn inpaint imagenette64 photo.jpg --mask mask.png --class church --count 8 --seed 1
  ppgn evaluate imagenette64 --real val/ --train train/ --judge torchvision:resnet18 --judge-weights resnet18.pth
  ppgn tune imagenette64 --network torchvision:resnet18 --weights resnet18.pth --unit layer4.1.conv2:17 --out tuned
  ppgn layers torchvision:resnet18
  ppgn bundles
"""
CHAIN_EXAMPLES = """examples:
  ppgn chain imagenette64 --class church --out church.gif
  ppgn chain imagenette64 --class church parachute "golf ball" --steps 40 --count 3 --every 2 --out walk.mp4
  ppgn chain imagenette64 --from dog.jpg --class "golf ball" --recipe noiseless_joint_ppgn_h_released --out ball.gif
  ppgn chain imagenette64 --unit trunk.12:0-5 --steps 30 --out units.gif
  ppgn chain imagenette64 --class all --steps 40 --every 40 --out strip.png
"""
TUNE_EXAMPLES = """examples:
  ppgn tune imagenette64 --unit trunk.12:7 --out tuned
  ppgn sample imagenette64 --unit trunk.12:7 --settings tuned/settings.json
  ppgn tune imagenette64 --network torchvision:resnet18 --weights resnet18.pth --class tabby --trials 30 --out tabby
  ppgn tune imagenette64 --condition my_module:my_function --steps 100 --most-gap 4 --out mine
  ppgn tune imagenette64 --unit trunk.12:7 --enough 60 --out like_real      as good as a real picture, then realism
  ppgn tune imagenette64 --class all --count 4 --sampler langevin --temperature 3 --out classes
  ppgn tune imagenette64 --unit trunk.12:7 --out tuned --trials 40          20 more of the first study
"""
SEVEN = """the examples (defaults: released steps, one seed, ten for 7):
  ppgn example 1 --class church                            a class, every 5th picture
  ppgn example 2 --class church parachute --out walk.gif   several classes in one chain
  ppgn example 3 --unit trunk.12:7@centre                  a hidden unit, resets, pictures with p > 0.98
  ppgn example 4 --unit layer4:7@centre --network torchvision:resnet18 --weights resnet18.pth
  ppgn example 5 --caption "a red bag"                     needs a bundle with a captioner
  ppgn example 6 --class church --from dog.jpg             from a real picture
  ppgn example 7 --class church --from church.jpg          the hole in a picture
"""
SETTINGS = {
    "sampler": "langevin (Eq. 11), released (the shipped code), adaptive (finds e2) or annealed (noise levels)",
    "prior": "reconstruction, denoiser, noise_level or none",
    "start": "normal (noise), or like those of real pictures: codes (a Gaussian), noise_level (a score model)",
    "draws": "starting codes for each chain, of which a likely one is taken",
    "draw-power": "how likely: p^draw-power, above 1 prefers typical ones",
    "tries": "runs of a chain that ends with less than --accept, until it has more",
    "accept": "log-probability (nats, at temperature 1) that is enough",
    "precision": "float32, bfloat16 (several times faster where the processor has it), auto (measured, see -v)",
    "gradient": "of the class: log_softmax (true) or released (target only)",
    "temperature": "of the class softmax, above 1 asks for more",
    "prior-scale": "epsilon 1",
    "condition-scale": "epsilon 2 (the adaptive sampler finds it)",
    "condition-limit": "the most that the condition moves a code in a step (Langevin)",
    "noise-scale": "epsilon 3, a standard deviation",
    "step-size": "of the released, the adaptive and the annealed sampler",
    "step-size-end": "of the released and the adaptive sampler, reached linearly",
    "momentum": "of the adaptive sampler, 0 to 1",
    "level": "of prior noise_level; annealed: the first",
    "level-end": "annealed: the last level",
}
WORDS = ("sampler", "prior", "start", "gradient", "precision")  # settings that are no number
RECIPES = "ppgn_x, dgn_am, ppgn_h, joint_ppgn_h, noiseless_joint_ppgn_h; with _released, the released code to the constant"
NETWORKS = "torchvision:NAME, timm:NAME, caffe:PROTOTXT,CAFFEMODEL, my_module:function or bundle:classifier"


def parser() -> argparse.ArgumentParser:
    """The command line of every command."""
    formatter = argparse.RawDescriptionHelpFormatter
    about = "Images through a learned prior, asked for by any network you plug in."
    top = argparse.ArgumentParser(prog="ppgn", description=about, epilog=EXAMPLES, formatter_class=formatter)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    about = "pictures of a class, of a unit of any network, or of your own condition"
    _sample(commands.add_parser("sample", help=about, epilog=EXAMPLES, formatter_class=formatter))
    about = "chains as they go, one class or unit after the other: a GIF, an MP4 or a sheet of frames"
    _chain(commands.add_parser("chain", help=about, epilog=CHAIN_EXAMPLES, formatter_class=formatter))
    _inpaint(commands.add_parser("inpaint", help="fill a hole in a picture", epilog=EXAMPLES, formatter_class=formatter))
    _evaluate(commands.add_parser("evaluate", help="score samples beside real ones", epilog=EXAMPLES, formatter_class=formatter))
    about = "find scales and steps for a class, a unit or your own condition on a small budget (Optuna)"
    _tune(commands.add_parser("tune", help=about, epilog=TUNE_EXAMPLES, formatter_class=formatter))
    about = "one of the seven scripts of the released code, to the constant"
    _example(commands.add_parser("example", help=about, epilog=SEVEN, formatter_class=formatter))
    layers = commands.add_parser("layers", help="what --unit can name: the layers of a network or of a bundle's encoder")
    layers.add_argument("network", help=f"{NETWORKS[: NETWORKS.index(' or ')]}, or the name or folder of a bundle")
    layers.add_argument("--size", type=size, metavar="H[,W]", help="size of the input (default: the library's)")
    commands.add_parser("bundles", help="list the bundles that are there")
    add_imports(commands, formatter, numbers)
    return top


def _sample(one: argparse.ArgumentParser) -> None:
    one.add_argument("bundle", help="name of a bundle (see `ppgn bundles`) or its folder")
    _condition(one)
    one.add_argument("--count", type=int, default=16, help="pictures of each class or unit (default: 16)")
    one.add_argument("--steps", type=int, help="steps of each chain (default: the bundle's)")
    one.add_argument("--seed", type=int, default=0, help="seed of the first chain of each class; the next ones follow")
    one.add_argument("--out", default="samples.png", help="grid to write (default: samples.png)")
    one.add_argument("--save-images", metavar="DIR", help="also write each picture, and samples.json, into DIR")
    one.add_argument("--batch", type=int, help="chains that run at once (default: 16, or 64 on an accelerator, or what fits)")
    _settings(one)


def _chain(one: argparse.ArgumentParser) -> None:
    one.add_argument("bundle", help="name of a bundle (see `ppgn bundles`) or its folder")
    _condition(one)
    one.add_argument("--count", type=int, default=1, help="chains side by side (default: 1)")
    one.add_argument("--steps", type=int, help="steps for each class or unit (default: the bundle's)")
    one.add_argument("--seed", type=int, default=0, help="seed of the first chain; the next ones follow")
    one.add_argument("--from", dest="picture", metavar="PICTURE", help="begin at the code of this picture")
    one.add_argument("--every", type=int, default=1, help="a frame for every so many steps (default: 1)")
    one.add_argument("--fps", type=float, default=10.0, help="frames a second (default: 10)")
    one.add_argument("--no-labels", action="store_true", help="pictures only")
    one.add_argument("--out", default="chain.gif", help=".gif, .mp4, or .png or .jpg for a sheet (default: chain.gif)")
    _settings(one, anew=False)


def _settings(one: argparse.ArgumentParser, anew: bool = True) -> None:
    """anew: whether chains that fail begin anew in this command."""
    one.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    one.add_argument("--recipe", metavar="NAME", help=f"a method of the papers: {RECIPES}")
    one.add_argument("--settings", metavar="FILE", help="settings.json of `ppgn tune`; other options go before it")
    for name, meaning in SETTINGS.items():
        if name in ("tries", "accept") and not anew:
            continue
        kind = str if name in WORDS else int if name in ("draws", "tries") else float
        one.add_argument(f"--{name}", type=kind, help=f"{meaning} (default: the recipe's, or the bundle's)")
    one.add_argument("--compile", action="store_true", default=None, help="torch.compile: takes minutes; slower on processors")
    one.add_argument("-v", "--verbose", action="store_true", help="say what was chosen for this machine")


def _condition(one: argparse.ArgumentParser) -> None:
    asked = one.add_argument_group("what to ask for (one of --class, --unit, --caption, --text, --condition)")
    asked.add_argument("--class", dest="classes", nargs="+", action="extend", metavar="CLASS", default=[],
                       help="name, unique part of a name, or index; several, `all` or `GROUP:all`; of several groups "
                       "(type:Handbags colour:Red) each of one with each of the other")  # fmt: skip
    asked.add_argument("--unit", metavar="LAYER:UNIT", help="of --network, or of the bundle's encoder (see `ppgn layers`); "
                       "layer:3,8,9, layer:0-15, layer:* for several, layer:17@centre, layer:17@row,column in a map")  # fmt: skip
    asked.add_argument("--caption", nargs="+", action="extend", metavar="TEXT", default=[],
                       help="a sentence, in quotes, for the bundle's captioner or --captioner; several")  # fmt: skip
    asked.add_argument("--captioner", metavar="hf:NAME", help="folder or name of a captioner of transformers (docs/text.md)")
    asked.add_argument("--text", nargs="+", action="extend", metavar="TEXT", default=[],
                       help="a text, in quotes, that fits the picture better than the others and --against; several")  # fmt: skip
    asked.add_argument("--against", nargs="+", metavar="TEXT", default=[], help="texts that --text is compared with")
    asked.add_argument("--similarity", metavar="NAME", help="hf:NAME or open_clip:MODEL/TAG, a CLIP or SigLIP (docs/text.md)")
    asked.add_argument("--condition", metavar="MODULE:FUNCTION", help="a function of yours, images -> one log-probability each")
    asked.add_argument("--measure", choices=("activation", "log_softmax", "released"),
                       help="of the unit (default: activation, averaged over its map)")  # fmt: skip
    plugged = one.add_argument_group("another network that --class or --unit look at")
    plugged.add_argument("--network", metavar="NAME", help=NETWORKS)
    plugged.add_argument("--weights", metavar="FILE", help="state dict (.pth, .safetensors) or torchvision's name of it")
    plugged.add_argument("--size", type=size, metavar="H[,W]", help="of its input, in pixels (default: the library's)")
    plugged.add_argument("--mean", type=numbers, metavar="R,G,B", help="of its input, for pixels in [0, 1] (default: library's)")
    plugged.add_argument("--std", type=numbers, metavar="R,G,B", help="of its input (default: the library's)")
    plugged.add_argument("--bgr", action="store_true", help="its channels are blue, green, red (Caffe)")
    plugged.add_argument("--network-precision", choices=("auto", "float32", "bfloat16"),
                         help="of its weights and maps (default: auto, bfloat16 where it is faster on this machine and "
                         "gradients agree, see -v; float32 with --recipe)")  # fmt: skip


def numbers(text: str) -> tuple[float, ...]:
    """`0.4,0.5,0.6` as a tuple."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as fault:
        raise argparse.ArgumentTypeError(f"cannot read {text!r}, expected numbers with commas, such as 0.48,0.46,0.41") from fault


def size(text: str) -> tuple[int, int]:
    """`224` or `224,192` as (height, width)."""
    parts = text.split(",")
    if len(parts) > 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"cannot read {text!r}, expected a height, or height,width, such as 224")
    return int(parts[0]), int(parts[-1])


def _inpaint(one: argparse.ArgumentParser) -> None:
    one.description = (
        "Fill a hole in a picture, which is resized and cropped to the bundle's square. Chains that begin at one code without "
        "noise are all alike, so each begins at the code of the masked picture plus noise of its own seed (--start-noise)."
    )
    one.add_argument("bundle", help="name of a bundle (see `ppgn bundles`) or its folder")
    one.add_argument("picture", help="picture file (its centre square is used)")
    hole = one.add_argument_group("the hole, in pixels of the bundle's size (one of these; default: --hole, 28 of 64)")
    hole.add_argument("--box", metavar="L,T,W,H", help="left, top, width and height")
    hole.add_argument("--mask", metavar="FILE", help="picture of the bundle's size, white (or transparent) where to fill")
    hole.add_argument("--hole", type=int, metavar="SIZE", help="side of a square at a place that --seed draws")
    one.add_argument("--class", dest="wanted", metavar="CLASS", help="of the whole picture: name, unique part, or index")
    one.add_argument("--count", type=int, default=4, help="fillings (default: 4)")
    one.add_argument("--seed", type=int, default=0, help="seed of the first filling; the next ones follow (default: 0)")
    one.add_argument("--steps", type=int, help="steps of each chain (default: INPAINTING in ppgn/recipes/pictures.py)")
    one.add_argument("--start-noise", type=float, metavar="STD",
                     help="of each seed, in standard deviations of real codes; 0: all alike (default: 0.3)")  # fmt: skip
    one.add_argument("--context-scale", type=float, metavar="SCALE", help="epsilon 4: weight of the known pixels")
    one.add_argument("--texture", type=float, default=0.5, metavar="SHARE",
                     help="of the generator's edges in the hole: 1 all, 0 smooth colours only (default: 0.5)")  # fmt: skip
    one.add_argument("--no-blend", action="store_true", help="leave the seam: the generator's own colours in the hole")
    one.add_argument("--out", default="filled.png", help="picture, hole and fillings side by side (default: filled.png)")
    one.add_argument("--save-images", metavar="DIR", help="also write each filling, the picture, the mask and inpaint.json")
    one.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    one.add_argument("--batch", type=int, default=32, help="chains that run at once (default: 32)")


def _evaluate(one: argparse.ArgumentParser) -> None:
    one.description = "Score samples made now, or pictures in a folder, beside real ones: a table, scores.json and index.html."
    one.add_argument("bundle", help="name of a bundle (see `ppgn bundles`) or its folder")
    one.add_argument("--real", required=True, metavar="FOLDER",
                     help="real pictures not trained on, a folder for each class; or the "
                     "folder with the table that the bundle was trained on, of which those held out are taken")  # fmt: skip
    one.add_argument("--train", metavar="FOLDER", help="training pictures, likewise: are samples copies of them?")
    one.add_argument("--samples", metavar="FOLDER", help="pictures made already, likewise or from `sample --save-images`")
    one.add_argument("--class", dest="classes", nargs="+", action="extend", metavar="CLASS",
                     help="or GROUP:all (default: all of the first group)")  # fmt: skip
    one.add_argument("--count", type=int,
                     help="samples of each class (default: 10, fewer of more than ten classes; all of --samples)")  # fmt: skip
    one.add_argument("--real-count", type=int, default=40, help="real pictures of each class, 0 for all (default: 40)")
    one.add_argument("--train-count", type=int, default=200, help="training pictures of each class, 0 for all (default: 200)")
    one.add_argument("--chain-steps", type=int, help="of one long chain of each class, 0 for none (default: 100)")
    one.add_argument("--steps", type=int, help="steps of each chain (default: the bundle's)")
    one.add_argument("--seed", type=int, default=0, help="seed of the first chain of each class; the next ones follow")
    one.add_argument("--batch", type=int, default=32, help="chains that run at once (default: 32)")
    one.add_argument("--out", default="evaluation", metavar="FOLDER", help="for scores.json and index.html (default: evaluation)")
    judge = one.add_argument_group("the judge, best a network that took no part in training or sampling")
    judge.add_argument("--judge", default="bundle:classifier", metavar="NAME", help=f"{NETWORKS} (default: the last)")
    judge.add_argument("--judge-weights", metavar="FILE", help="state dict (.pth, .safetensors) or torchvision's name of it")
    judge.add_argument("--judge-size", type=size, metavar="H[,W]", help="of its input, in pixels (default: the library's)")
    judge.add_argument("--judge-mean", type=numbers, metavar="R,G,B", help="of its input, in its order (default: library's)")
    judge.add_argument("--judge-std", type=numbers, metavar="R,G,B", help="of its input (default: the library's)")
    judge.add_argument("--judge-bgr", action="store_true", help="its channels are blue, green, red (Caffe)")
    judge.add_argument("--judge-classes", nargs="+", metavar="FILE|NAME", help="its classes, one a line (default: the library's)")
    judge.add_argument("--judge-layer", metavar="LAYER", help="of the features (default: the last map; see `ppgn layers`)")
    judge.add_argument("--inception", action="store_true", help="FID and KID in Inception's features too, if it is here")
    judge.add_argument("--lpips", nargs="?", const="alex", metavar="NET", help="alex, vgg or squeeze, if its weights are here")
    _settings(one)


def _tune(one: argparse.ArgumentParser) -> None:
    one.description = (
        "Try settings on short chains from the same seeds; the best meets the condition best within two limits: how far pictures "
        "are from what the generator knows, and how alike they are. The first trial is the default. A setting that an option "
        "gives is not searched. The same command again goes on where it ended."
    )
    one.add_argument("bundle", help="name of a bundle (see `ppgn bundles`) or its folder")
    _condition(one)
    one.add_argument("--trials", type=int, default=20, help="settings to try, the default included (default: 20)")
    one.add_argument("--count", type=int, default=8, help="chains of each class or unit in a trial (default: 8)")
    one.add_argument("--steps", type=int, help="steps of each chain, of which fewer may be found best (default: the bundle's)")
    one.add_argument("--seed", type=int, default=0, help="seed of the first chain of each class; the next ones follow")
    one.add_argument("--most-gap", type=float, metavar="LIMIT",
                     help="of |E(G(h)) - h|, how far codes h are from what the generator knows; 1: as codes like real ones "
                     "(default: 2.5)")  # fmt: skip
    one.add_argument("--least-diversity", type=float, metavar="LIMIT",
                     help="of the chains of a class or unit; 1: as pictures of anything (default: 0.2)")  # fmt: skip
    one.add_argument("--enough", type=float, metavar="VALUE",
                     help="activation, value or log-probability above which chains have met what is asked for; of settings that "
                     "meet it the most varied, near to real ones, is best (default: -0.01 for probabilities)")  # fmt: skip
    one.add_argument("--out", default="tuned", metavar="FOLDER",
                     help="for settings.json, tune.png, and trials.json, from which it goes on (default: tuned)")  # fmt: skip
    _settings(one, anew=False)


def _example(one: argparse.ArgumentParser) -> None:
    one.add_argument("number", type=int, choices=range(1, 8), metavar="N", help="1 to 7")
    one.add_argument("--bundle", default="imagenette64", help="name of a bundle or its folder (default: imagenette64)")
    one.add_argument("--class", dest="classes", nargs="+", action="extend", metavar="CLASS", default=[], help="of the bundle")
    one.add_argument("--unit", metavar="LAYER:UNIT", help="a hidden unit, or a class by its number alone")
    one.add_argument("--network", metavar="NAME", help=f"that of the unit: {NETWORKS}")
    one.add_argument("--weights", metavar="FILE", help="of the network")
    one.add_argument("--caption", metavar="TEXT", help="a sentence")
    one.add_argument("--from", dest="picture", metavar="PICTURE", help="a real picture")
    one.add_argument("--box", metavar="L,T,W,H", help="the hole (default: 100 of 256 of the side, at random)")
    one.add_argument("--seeds", type=int, nargs="+", metavar="SEED", help="a chain each")
    one.add_argument("--steps", type=int, help="for each condition (default: as released)")
    one.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    one.add_argument("--out", default="example.png", help=".png or .jpg for a sheet, .gif, .mp4 (default: example.png)")
    one.add_argument("--save-images", metavar="DIR", help="also write every picture kept into DIR")
