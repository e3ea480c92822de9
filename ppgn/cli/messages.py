"""Sentences of the library in the words of the command line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

NO_FLAGS = ("command", "bundle", "picture", "number", "state")
"""Names that are typed without one, or under another name."""

OF_INPUT = ("weights", "size", "mean", "std", "bgr")
"""Flags of a network that a judge has too."""
OWN_CODE = ("bundle", "condition", "score", "network", "judge", "sampler", "method", "prior", "start", "measure",
            "bounds")  # fmt: skip
"""Arguments whose value may be my_module:Thing."""
NO_MODULES = ("lite", "torchvision", "timm", "caffe", "bundle", "hf")
"""What stands before a colon there and is no module of the user's."""
IN_THE_TERMINAL = {
    ", or write them batch by batch (sampling.sample_into)": (
        ", or add --save-images DIR, which holds a batch at a time (--resume goes on)"
    ),
    "choose one that list_layers gives": "choose one that `ppgn layers` lists",
    ", or a captioner from elsewhere (ppgn.loaders.captioner)": ", or --captioner hf:NAME",
}
"""Advice of the library in Python -> the same in the terminal, left out where the command lacks a flag that it names."""


def named_modules(given: Mapping[str, Any]) -> list[str]:
    """The values that name code of the user's own, my_module:Thing."""
    values = [str(given[name]) for name in OWN_CODE if given.get(name) is not None]
    return [value for value in values if ":" in value and value.partition(":")[0] not in NO_MODULES]


def in_flags(message: str, given: Mapping[str, Any]) -> str:
    """The message with settings as the flags that set them: "got momentum 0.9" becomes "got --momentum 0.9".

    given: name -> value of everything that can be typed. A setting counts as one where its value follows, where it is advice
    ("choose sampler adaptive", "leave weights out"), where another one is lacking ("got sae without layer, expected"), and where
    it is spelled as in Python ("size=(HEIGHT, WIDTH)").
    """
    of_judge = {name.removeprefix("judge_"): name for name in given if name.startswith("judge_")}
    loose = of_judge if given.get("network") is None else {}  # then the network's flags are refused, so the judge's are meant
    flags = {name: name for name in set(given) - set(NO_FLAGS) - {name for name in OF_INPUT if name in loose}}
    for name, owner in sorted({**of_judge, **flags}.items(), key=lambda pair: len(pair[0]), reverse=True):
        value = given[owner]
        flag = f"--{owner.strip('_').replace('_', '-')}"
        typed = "|".join(re.escape(text) for text in {str(value), repr(value)})
        message = re.sub(rf"\b{name}=\(([^)]*)\)", lambda found: f"{flag} {found[1].replace(', ', ',')}", message)  # noqa: B023
        message = re.sub(rf"(?<![\w-]){name}=", f"{flag} ", message)
        message = re.sub(rf"\b(got|unknown) {name} (?={typed})", rf"\1 {flag} ", message)
        message = re.sub(rf"^{name} got (?={typed})", f"{flag} got ", message)
        message = re.sub(rf"^got {name} (?=without )", f"got {flag} ", message)
        message = re.sub(rf"(?<= without ){name}(?= or |, expected)|(?<= or ){name}(?=, expected)", flag, message)
        message = re.sub(rf"\b(choose|raise|lower) {name}\b(?!s)", rf"\1 {flag}", message)
        message = re.sub(rf"\bleave {name} out\b", f"leave {flag} out", message)
    for advice, typed in IN_THE_TERMINAL.items():
        needed = [flag.replace("-", "_") for flag in re.findall(r"--([a-z-]+)", typed)]
        message = message.replace(advice, typed if all(name in given for name in needed) else "")
    return message
