"""Are the pictures good? How likely, how varied, how near to real pictures, how far from copies, and how fast.

`evaluate` answers all of it for a bundle, or for pictures in a folder, beside real pictures, as data, a table and a page. Its two
halves are `prepare`, which checks, and `run`. The measures are also functions of logits, features and pictures, on torchmetrics
where it has them; `Judge` makes the logits and features.
"""

from ppgn.evaluation.chains import PassCounter as PassCounter
from ppgn.evaluation.chains import autocorrelation as autocorrelation
from ppgn.evaluation.chains import between_chains as between_chains
from ppgn.evaluation.chains import integrated_time as integrated_time
from ppgn.evaluation.chains import mixing as mixing
from ppgn.evaluation.course import Course as Course
from ppgn.evaluation.diversity import feature_diversity as feature_diversity
from ppgn.evaluation.diversity import perceptual_diversity as perceptual_diversity
from ppgn.evaluation.diversity import structure_diversity as structure_diversity
from ppgn.evaluation.evaluate import evaluate as evaluate
from ppgn.evaluation.evaluate import run as run
from ppgn.evaluation.evaluated import Evaluated as Evaluated
from ppgn.evaluation.folders import ClassFolder as ClassFolder
from ppgn.evaluation.folders import class_folder as class_folder
from ppgn.evaluation.html import document as document
from ppgn.evaluation.html import embedded as embedded
from ppgn.evaluation.html import page as page
from ppgn.evaluation.inception import inception_network as inception_network
from ppgn.evaluation.judge import Judge as Judge
from ppgn.evaluation.judge import Judged as Judged
from ppgn.evaluation.judge import class_columns as class_columns
from ppgn.evaluation.judge import feature_layer as feature_layer
from ppgn.evaluation.judges import read_class_names as read_class_names
from ppgn.evaluation.neighbours import Copies as Copies
from ppgn.evaluation.neighbours import copies as copies
from ppgn.evaluation.neighbours import manifold as manifold
from ppgn.evaluation.options import EvaluationOptions as EvaluationOptions
from ppgn.evaluation.options import JudgeSource as JudgeSource
from ppgn.evaluation.options import samples_per_class as samples_per_class
from ppgn.evaluation.plots import Dot as Dot
from ppgn.evaluation.plots import curves as curves
from ppgn.evaluation.plots import histogram as histogram
from ppgn.evaluation.plots import reliability as reliability
from ppgn.evaluation.plots import scatter as scatter
from ppgn.evaluation.plots import shares as shares
from ppgn.evaluation.poses import Poses as Poses
from ppgn.evaluation.poses import drawn_map as drawn_map
from ppgn.evaluation.poses import figures as figures
from ppgn.evaluation.poses import interval as interval
from ppgn.evaluation.poses import is_renderer as is_renderer
from ppgn.evaluation.poses import look as look
from ppgn.evaluation.poses import map_codes as map_codes
from ppgn.evaluation.poses import poses as poses
from ppgn.evaluation.progress import OnProgress as OnProgress
from ppgn.evaluation.report import json_safe as json_safe
from ppgn.evaluation.report import match_counts as match_counts
from ppgn.evaluation.report import report as report
from ppgn.evaluation.report import set_distances as set_distances
from ppgn.evaluation.report import split_halves as split_halves
from ppgn.evaluation.sample_page import course_curves as course_curves
from ppgn.evaluation.sample_page import sample_page as sample_page
from ppgn.evaluation.scores import activation as activation
from ppgn.evaluation.scores import classified as classified
from ppgn.evaluation.scores import frechet_distance as frechet_distance
from ppgn.evaluation.scores import inception_score as inception_score
from ppgn.evaluation.scores import kernel_distance as kernel_distance
from ppgn.evaluation.task import Task as Task
from ppgn.evaluation.task import choose_classes as choose_classes
from ppgn.evaluation.task import prepare as prepare
