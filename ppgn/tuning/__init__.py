"""The search for scales and steps that suit a request, on short chains and within two limits; kept on the disk, so resumable."""

from ppgn.tuning.figure import figure as figure
from ppgn.tuning.limits import REFERENCES as REFERENCES
from ppgn.tuning.limits import diversity as diversity
from ppgn.tuning.limits import realistic_codes as realistic_codes
from ppgn.tuning.limits import reference as reference
from ppgn.tuning.page import page as page
from ppgn.tuning.record import PAGE as PAGE
from ppgn.tuning.record import SETTINGS as SETTINGS
from ppgn.tuning.record import OnTrial as OnTrial
from ppgn.tuning.record import Study as Study
from ppgn.tuning.record import tune as tune
from ppgn.tuning.report import frontier as frontier
from ppgn.tuning.report import number as number
from ppgn.tuning.search import ENOUGH as ENOUGH
from ppgn.tuning.search import LEAST_DIVERSITY as LEAST_DIVERSITY
from ppgn.tuning.search import MOST_GAP as MOST_GAP
from ppgn.tuning.search import Tuning as Tuning
from ppgn.tuning.space import first_steps as first_steps
from ppgn.tuning.trial import Trial as Trial
from ppgn.tuning.trial import best_of as best_of
from ppgn.tuning.why import reasons as reasons
