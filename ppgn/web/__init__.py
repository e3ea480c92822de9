"""The page to play with: the same requests, recipes and runs as everywhere, by public calls alone."""

from ppgn.web.options import WebOptions as WebOptions
from ppgn.web.page import page as page
from ppgn.web.page import serve as serve
