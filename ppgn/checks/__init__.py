"""Contract checks for plug-in authors: each returns None, or raises ValueError with a sentence on cause and fix.

They need two different chains or more, and compare numbers up to `tolerance`, relative to the largest of them.
"""

from ppgn.checks.contracts import check_condition as check_condition
from ppgn.checks.contracts import check_generator as check_generator
from ppgn.checks.contracts import check_prior as check_prior
from ppgn.checks.contracts import check_sampler as check_sampler
