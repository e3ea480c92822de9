"""What can be typed after `ppgn import-caffe` and `ppgn import-deepsim`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

CAFFE_EXAMPLES = """examples:
  ppgn import-caffe --generator generator.prototxt generator.caffemodel --encoder caffenet.prototxt caffenet.caffemodel \\
      --classes synset_words.txt --statistics fc6.txt --out checkpoints/ppgn-original \\
      --captioner lrcn.prototxt lrcn.caffemodel --vocabulary vocabulary.txt
  ppgn sample ppgn-original --class junco --count 4 --out junco.png
  ppgn example 1 --bundle ppgn-original --unit 13
"""
DEEPSIM_EXAMPLES = """examples:
  ppgn import-deepsim upconvGAN_fc6.pt --encoder caffenet.prototxt caffenet.caffemodel --out checkpoints/deepsim-fc6
  ppgn import-deepsim upconvGAN_pool5.pt --code-blob pool5 --encoder caffenet.prototxt caffenet.caffemodel --out checkpoints/pool5
"""


def add_imports(commands: Any, formatter: Any, numbers: Callable[[str], tuple[float, ...]]) -> None:
    """Adds both commands; numbers: reads `1,2,3`."""
    about = "a bundle from networks released for Caffe (.prototxt and .caffemodel)"
    caffe = commands.add_parser("import-caffe", help=about, epilog=CAFFE_EXAMPLES, formatter_class=formatter)
    files = ("PROTOTXT", "CAFFEMODEL")
    caffe.add_argument("--generator", nargs=2, required=True, metavar=files, help="code -> picture (BGR less its mean)")
    _common(caffe, numbers)
    about = "a bundle from a PyTorch port of a DeePSiM, DGN-AM or PPGN generator (upconvGAN)"
    deepsim = commands.add_parser("import-deepsim", help=about, epilog=DEEPSIM_EXAMPLES, formatter_class=formatter)
    deepsim.add_argument("state", metavar="FILE", help="its state dict (.pt, .pth or .safetensors)")
    _common(deepsim, numbers)


def _common(one: argparse.ArgumentParser, numbers: Callable[[str], tuple[float, ...]]) -> None:
    files = ("PROTOTXT", "CAFFEMODEL")
    one.add_argument("--encoder", nargs=2, required=True, metavar=files, help="picture -> code and classes, such as CaffeNet")
    one.add_argument("--out", required=True, metavar="FOLDER", help="bundle to write, such as checkpoints/ppgn-original")
    one.add_argument("--name", help="of the bundle (default: the folder's)")
    one.add_argument("--classes", metavar="FILE", help="names of the classes, one a line, such as synset_words.txt")
    one.add_argument(
        "--statistics", metavar="FILE", help="the highest number of each code unit, one a line (default: 30 for all)"
    )
    one.add_argument("--code-blob", default="fc6", metavar="BLOB", help="of the encoder (default: fc6, after its ReLU)")
    one.add_argument("--scores-blob", default="fc8", metavar="BLOB", help="of the encoder, before the softmax (default: fc8)")
    one.add_argument("--captioner", nargs=2, metavar=files, help="LRCN, from words to predictions, for captions")
    one.add_argument("--vocabulary", metavar="FILE", help="its words from number 1 on, one a line")
    one.add_argument("--mean", type=numbers, metavar="B,G,R",
                     help="what both networks' pictures are less, in 0..255 (default: 104.006,116.669,122.679)")  # fmt: skip
    one.add_argument("--generator-mean", type=numbers, metavar="B,G,R", help="of the generator, where it has its own")
