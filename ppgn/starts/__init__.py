"""Where chains begin. To ship a start: a file here and a line in STARTS."""

from typing import Any

from ppgn.starts.draws import drawn_code as drawn_code
from ppgn.starts.draws import likely_code as likely_code
from ppgn.starts.draws import random_code as random_code
from ppgn.starts.guided import GuidedCodes as GuidedCodes
from ppgn.starts.named import GaussianCodes as GaussianCodes
from ppgn.starts.named import MeanCodes as MeanCodes
from ppgn.starts.named import NoiseLevelCodes as NoiseLevelCodes
from ppgn.starts.named import Normal as Normal
from ppgn.starts.named import Unclipped as Unclipped
from ppgn.starts.pictures import from_image as from_image
from ppgn.starts.pictures import from_masked_image as from_masked_image

STARTS: dict[str, Any] = {
    "normal": Normal,
    "unclipped": Unclipped,
    "codes": GaussianCodes,
    "noise_level": NoiseLevelCodes,
    "guided": GuidedCodes,
    "mean": MeanCodes,
}
"""Name -> start, for recipes and the command line."""
