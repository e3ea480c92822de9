"""What does this unit want? Real pictures, synthetic ones, a set with diagnostics, changes, maps and a second network's view."""

from ppgn.explanation.index import index_page as index_page
from ppgn.explanation.page import report_page as report_page
