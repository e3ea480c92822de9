"""Flags that `ppgn import-caffe` and `ppgn import-deepsim` share."""

from __future__ import annotations

import argparse

from ppgn.cli.values import numbers

FILES = ("PROTOTXT", "CAFFEMODEL")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of everything but the generator."""
    parser.add_argument("--encoder", nargs=2, required=True, metavar=FILES, help="picture -> code and classes, such as CaffeNet")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="bundle to write, such as checkpoints/ppgn-original")
    parser.add_argument("--name", help="of the bundle (default: the folder's)")
    parser.add_argument("--classes", metavar="FILE", help="names of the classes, one a line, such as synset_words.txt")
    parser.add_argument("--statistics", metavar="FILE",
                        help="the highest number of each code unit, one a line (default: 30 for all)")  # fmt: skip
    parser.add_argument("--code-blob", default="fc6", metavar="BLOB", help="of the encoder (default: fc6, after its ReLU)")
    parser.add_argument("--scores-blob", default="fc8", metavar="BLOB", help="of the encoder, before the softmax (default: fc8)")
    parser.add_argument("--captioner", nargs=2, metavar=FILES, help="LRCN, from words to predictions, for captions")
    parser.add_argument("--vocabulary", metavar="FILE", help="its words from number 1 on, one a line")
    parser.add_argument("--mean", type=numbers, metavar="B,G,R",
                        help="what both networks' pictures are less, in 0..255 (default: 104.006,116.669,122.679)")  # fmt: skip
    parser.add_argument("--generator-mean", type=numbers, metavar="B,G,R", help="of the generator, where it has its own")
