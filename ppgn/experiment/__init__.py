"""Evolutions of pictures for whatever only answers: neurons, people, programs. Folders that lose no recording."""

from ppgn.experiment.evolution import Evolution as Evolution
from ppgn.experiment.evolution import Generation as Generation
from ppgn.experiment.evolution import Plan as Plan
from ppgn.experiment.first import codes_of_pictures as codes_of_pictures
from ppgn.experiment.folder import RunFolder as RunFolder
from ppgn.experiment.neuron import Laboratory as Laboratory
from ppgn.experiment.neuron import SpikingNeuron as SpikingNeuron
from ppgn.experiment.plot import line_plot as line_plot
from ppgn.experiment.predict import predict as predict
from ppgn.experiment.prediction import Prediction as Prediction
from ppgn.experiment.prediction import predicted as predicted
from ppgn.experiment.prediction import prediction_figure as prediction_figure
from ppgn.experiment.prediction import spearman as spearman
from ppgn.experiment.program import ProgramScore as ProgramScore
from ppgn.experiment.run import BY_HAND as BY_HAND
from ppgn.experiment.run import Evolved as Evolved
from ppgn.experiment.run import OnGeneration as OnGeneration
from ppgn.experiment.run import evolve as evolve
from ppgn.experiment.run import open_run as open_run
from ppgn.experiment.run import reopen_run as reopen_run
from ppgn.experiment.run import result_of as result_of
from ppgn.experiment.run import tell_and_save as tell_and_save
from ppgn.experiment.scores import FunctionScore as FunctionScore
from ppgn.experiment.scores import Noise as Noise
from ppgn.experiment.scores import unit_score as unit_score
from ppgn.experiment.tables import read_responses as read_responses
