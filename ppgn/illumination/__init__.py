"""Quality-diversity search (MAP-Elites): a picture for every class of a network of which the network is sure.

Fooling images and innovation engines (Nguyen, Yosinski & Clune 2015). `illuminate` does all of it; `Search` is its ask / tell
form. Pictures are bred pixel by pixel (`Direct`) or as networks that compose patterns (`Cppn`).
"""

from ppgn.illumination.archive import Archive as Archive
from ppgn.illumination.cppn import Cppn as Cppn
from ppgn.illumination.direct import Direct as Direct
from ppgn.illumination.direct import polynomial as polynomial
from ppgn.illumination.encoding import Encoding as Encoding
from ppgn.illumination.illuminated import Illuminated as Illuminated
from ppgn.illumination.lineage import Ancestor as Ancestor
from ppgn.illumination.one_pixel import OnePixel as OnePixel
from ppgn.illumination.one_pixel import one_pixel as one_pixel
from ppgn.illumination.page import gallery as gallery
from ppgn.illumination.page import write_page as write_page
from ppgn.illumination.repetition import Repetition as Repetition
from ppgn.illumination.repetition import periods_of as periods_of
from ppgn.illumination.repetition import repetition as repetition
from ppgn.illumination.run import OnGeneration as OnGeneration
from ppgn.illumination.run import illuminate as illuminate
from ppgn.illumination.run import scored as scored
from ppgn.illumination.search import CurveRow as CurveRow
from ppgn.illumination.search import Search as Search
