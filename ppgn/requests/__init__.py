"""Requests, one target per chain: classes, units, directions, latents, captions, texts, functions, weighted sums of them."""

from ppgn.requests.classes import class_index as class_index
from ppgn.requests.classes import classes as classes
from ppgn.requests.classes import listed_classes as listed_classes
from ppgn.requests.functions import function as function
from ppgn.requests.functions import weighted as weighted
from ppgn.requests.names import composed as composed
from ppgn.requests.names import plain as plain
from ppgn.requests.names import same_name as same_name
from ppgn.requests.networks import Plugged as Plugged
from ppgn.requests.networks import network_classes as network_classes
from ppgn.requests.networks import network_units as network_units
from ppgn.requests.parse import KINDS as KINDS
from ppgn.requests.parse import OF_NETWORK as OF_NETWORK
from ppgn.requests.parse import of as of
from ppgn.requests.parse import parse as parse
from ppgn.requests.request import Request as Request
from ppgn.requests.sources import fingerprint as fingerprint
from ppgn.requests.sources import source_of as source_of
from ppgn.requests.sources import weights_of as weights_of
from ppgn.requests.units import LatentRequest as LatentRequest
from ppgn.requests.units import UnitRequest as UnitRequest
from ppgn.requests.units import direction as direction
from ppgn.requests.units import latent as latent
from ppgn.requests.units import unit as unit
from ppgn.requests.words import TextRequest as TextRequest
from ppgn.requests.words import captions as captions
