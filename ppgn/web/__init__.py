"""The page to play with: the same requests, recipes and runs as everywhere, by public calls alone.

wishes, settings and export are its parts without a browser: short texts -> requests, recipes <-> forms, and what is on screen as
files, as a command and as Python.
"""

from ppgn.web import export as export
from ppgn.web import settings as settings
from ppgn.web import wishes as wishes
from ppgn.web.options import House as House
from ppgn.web.options import WebOptions as WebOptions
from ppgn.web.page import page as page
from ppgn.web.page import serve as serve
from ppgn.web.runs import known_pixels as known_pixels
from ppgn.web.visitor import Asked as Asked
from ppgn.web.visitor import Visitor as Visitor
from ppgn.web.visitor import Visitors as Visitors
from ppgn.web.wishes import Known as Known
from ppgn.web.wishes import Wish as Wish
from ppgn.web.wishes import read_wish as read_wish
