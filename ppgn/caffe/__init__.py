"""Networks as Caffe released them: their definitions (`.prototxt`) and weights (`.caffemodel`), read without Caffe."""

from ppgn.caffe.caffemodel import read_weights
from ppgn.caffe.prototxt import read_definition
from ppgn.caffe.schema import CaffeError

__all__ = ["CaffeError", "read_definition", "read_weights"]
