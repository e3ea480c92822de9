"""Layers of Caffe's two old forms, V0 and V1, converted to the newest, V2, by the tables of Caffe's `upgrade_proto.cpp`."""

from __future__ import annotations

from typing import Any

from ppgn.caffe.schema import CaffeError, quoted

Layer = dict[str, Any]

V1_TYPES = {
    "ABSVAL": "AbsVal", "ACCURACY": "Accuracy", "ARGMAX": "ArgMax", "BNLL": "BNLL", "CONCAT": "Concat",
    "CONTRASTIVE_LOSS": "ContrastiveLoss", "CONVOLUTION": "Convolution", "DATA": "Data", "DECONVOLUTION": "Deconvolution",
    "DROPOUT": "Dropout", "DUMMY_DATA": "DummyData", "EUCLIDEAN_LOSS": "EuclideanLoss", "ELTWISE": "Eltwise", "EXP": "Exp",
    "FLATTEN": "Flatten", "HDF5_DATA": "HDF5Data", "HDF5_OUTPUT": "HDF5Output", "HINGE_LOSS": "HingeLoss", "IM2COL": "Im2col",
    "IMAGE_DATA": "ImageData", "INFOGAIN_LOSS": "InfogainLoss", "INNER_PRODUCT": "InnerProduct", "LRN": "LRN",
    "MEMORY_DATA": "MemoryData", "MULTINOMIAL_LOGISTIC_LOSS": "MultinomialLogisticLoss", "MVN": "MVN", "POOLING": "Pooling",
    "POWER": "Power", "RELU": "ReLU", "SIGMOID": "Sigmoid", "SIGMOID_CROSS_ENTROPY_LOSS": "SigmoidCrossEntropyLoss",
    "SILENCE": "Silence", "SOFTMAX": "Softmax", "SOFTMAX_LOSS": "SoftmaxWithLoss", "SPLIT": "Split", "SLICE": "Slice",
    "TANH": "TanH", "WINDOW_DATA": "WindowData", "THRESHOLD": "Threshold",
}  # fmt: skip

V0_TYPES = {
    "accuracy": "Accuracy", "bnll": "BNLL", "concat": "Concat", "conv": "Convolution", "data": "Data", "dropout": "Dropout",
    "euclidean_loss": "EuclideanLoss", "flatten": "Flatten", "hdf5_data": "HDF5Data", "hdf5_output": "HDF5Output",
    "im2col": "Im2col", "images": "ImageData", "infogain_loss": "InfogainLoss", "innerproduct": "InnerProduct", "lrn": "LRN",
    "multinomial_logistic_loss": "MultinomialLogisticLoss", "pool": "Pooling", "relu": "ReLU", "sigmoid": "Sigmoid",
    "softmax": "Softmax", "softmax_loss": "SoftmaxWithLoss", "split": "Split", "tanh": "TanH", "window_data": "WindowData",
}  # fmt: skip

# V0 type -> the message of the new form that holds its fields, and these fields, as old=new where the names differ.
V0_PARAMETERS = {
    "conv": ("convolution_param", "num_output biasterm=bias_term pad kernelsize=kernel_size group stride"),
    "innerproduct": ("inner_product_param", "num_output biasterm=bias_term"),
    "pool": ("pooling_param", "pool pad kernelsize=kernel_size stride"),
    "dropout": ("dropout_param", "dropout_ratio"),
    "lrn": ("lrn_param", "local_size alpha beta k"),
    "concat": ("concat_param", "concat_dim"),
    "data": ("data_param", "source batchsize=batch_size rand_skip"),
    "hdf5_data": ("hdf5_data_param", "source batchsize=batch_size"),
    "images": ("image_data_param", "source batchsize=batch_size rand_skip shuffle_images=shuffle new_height new_width"),
    "window_data": (
        "window_data_param",
        "source batchsize=batch_size det_fg_threshold=fg_threshold det_bg_threshold=bg_threshold det_fg_fraction=fg_fraction "
        "det_context_pad=context_pad det_crop_mode=crop_mode",
    ),
    "infogain_loss": ("infogain_loss_param", "source"),
}
V0_TRANSFORM = {"scale": "scale", "meanfile": "mean_file", "cropsize": "crop_size", "mirror": "mirror"}
REPEATED = {("conv", "pad"), ("conv", "kernelsize"), ("conv", "stride")}


def upgraded(layers: list[Layer]) -> list[Layer]:
    """V2 layers from the entries of a file's `layers`: all of them V0 (each with a nested `layer`), or all V1.

    Raises CaffeError for a layer whose type or field has no counterpart, and for entries of both forms.
    """
    nested = ["layer" in layer for layer in layers]
    if all(nested):
        return [_from_v0(layer) for layer in _without_padding(layers)]
    if any(nested):
        raise CaffeError(
            f"entry {nested.index(False) + 1} of layers has no nested layer, expected one as in the others; keep one form"
        )
    return [_from_v1(layer) for layer in layers]


def _from_v1(layer: Layer) -> Layer:
    kind = layer.get("type", "NONE")
    return {**layer, "type": V1_TYPES.get(kind, "")}


def _from_v0(entry: Layer) -> Layer:
    layer = dict(entry["layer"])
    name, kind = layer.pop("name", ""), layer.pop("type", "")
    if kind not in V0_TYPES:
        known = ", ".join(V0_TYPES)
        raise CaffeError(f"layer {quoted(name)} has the type {quoted(kind)}, expected a type of the old form; use one of {known}")
    made = {"name": name, "type": V0_TYPES[kind], **{key: entry[key] for key in ("bottom", "top") if key in entry}}
    owner, text = V0_PARAMETERS.get(kind, ("", ""))
    renamed = dict((word.split("=") * 2)[:2] for word in text.split())
    for key, value in layer.items():
        if key == f"{kind}_param":
            made[key] = value
        elif key in renamed:
            made.setdefault(owner, {})[renamed[key]] = [value] if (kind, key) in REPEATED else value
        elif key in V0_TRANSFORM:
            made.setdefault("transform_param", {})[V0_TRANSFORM[key]] = value
        else:
            raise CaffeError(f"layer {quoted(name)} of type {kind} has the field {key}, expected fields of that type; remove it")
    return made


def _without_padding(entries: list[Layer]) -> list[Layer]:
    """The old form's padding layers, folded into the convolution or pooling that reads them (UpgradeV0PaddingLayers)."""
    kept, maker = [], {}
    for entry in entries:
        if entry["layer"].get("type") != "padding":
            kept.append(_padded(entry, maker))
        maker.update(dict.fromkeys(entry.get("top", []), entry))
    return kept


def _padded(entry: Layer, maker: dict[str, Layer]) -> Layer:
    makers = [maker[bottom] for bottom in entry.get("bottom", []) if bottom in maker]
    padding = [made for made in makers if made["layer"].get("type") == "padding"]
    if not padding:
        return entry
    layer, single = entry["layer"], len(entry["bottom"]) == len(padding[0].get("bottom", [])) == len(padding[0]["top"]) == 1
    if layer.get("type") not in ("conv", "pool") or not single:
        name, source = quoted(layer.get("name", "")), quoted(padding[0]["layer"].get("name", ""))
        expected = "expected a single convolution or pooling behind it"
        raise CaffeError(f"layer {name} reads the padding layer {source}, {expected}; set pad in the layers themselves")
    return {**entry, "bottom": padding[0]["bottom"], "layer": {**layer, "pad": padding[0]["layer"].get("pad", 0)}}
