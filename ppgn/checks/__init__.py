"""Contract checks for authors of plug-ins: each returns None, or raises ValueError with a sentence on cause and fix.

They need two different chains or more, and compare numbers up to `tolerance`, relative to the largest of them.
"""

from ppgn.checks.ask_tell import check_ask_tell as check_ask_tell
from ppgn.checks.contracts import check_condition as check_condition
from ppgn.checks.contracts import check_generator as check_generator
from ppgn.checks.contracts import check_prior as check_prior
from ppgn.checks.contracts import check_sampler as check_sampler
