"""What does a unit want? Real pictures, synthetic ones, a set with diagnostics, changes, maps and a second network's view.

`explain` makes a report of them for each target, as plain data, pictures and a page.
"""

from ppgn.explanation.attribution import METHODS as METHODS
from ppgn.explanation.attribution import SIGNED as SIGNED
from ppgn.explanation.attribution import heat as heat
from ppgn.explanation.attribution import maps as maps
from ppgn.explanation.index import index_page as index_page
from ppgn.explanation.options import ExplainOptions as ExplainOptions
from ppgn.explanation.page import report_page as report_page
from ppgn.explanation.run import PARTS as PARTS
from ppgn.explanation.run import OnKept as OnKept
from ppgn.explanation.run import OnPasses as OnPasses
from ppgn.explanation.run import explain as explain
from ppgn.explanation.run import targets as targets
from ppgn.explanation.study import Part as Part
from ppgn.explanation.study import Pictures as Pictures
from ppgn.explanation.study import Second as Second
from ppgn.explanation.study import Study as Study
from ppgn.explanation.study import load_pictures as load_pictures
from ppgn.explanation.study import second_network as second_network
from ppgn.explanation.sweep import mixed_r_hat as mixed_r_hat
from ppgn.explanation.sweep import sampled as sampled
from ppgn.explanation.target import Reading as Reading
from ppgn.explanation.target import Target as Target
from ppgn.explanation.target import activation_grids as activation_grids
from ppgn.explanation.target import target_of as target_of
from ppgn.explanation.transfer import transferred as transferred
