"""Was it any good: how likely, how varied, how near to real pictures, how far from copies, how fast.

Pure functions of logits, features and pictures, on torchmetrics where it has them; `Judge` makes the logits and features.
"""

from ppgn.metrics.chains import Passes as Passes
from ppgn.metrics.chains import autocorrelation as autocorrelation
from ppgn.metrics.chains import integrated_time as integrated_time
from ppgn.metrics.chains import mixing as mixing
from ppgn.metrics.diversity import check_lpips as check_lpips
from ppgn.metrics.diversity import feature_diversity as feature_diversity
from ppgn.metrics.diversity import perceptual_diversity as perceptual_diversity
from ppgn.metrics.diversity import structure_diversity as structure_diversity
from ppgn.metrics.folders import ClassFolder as ClassFolder
from ppgn.metrics.folders import class_folder as class_folder
from ppgn.metrics.inception import inception_features as inception_features
from ppgn.metrics.inception import inception_network as inception_network
from ppgn.metrics.judge import Judge as Judge
from ppgn.metrics.judge import Judged as Judged
from ppgn.metrics.judge import class_columns as class_columns
from ppgn.metrics.judge import feature_layer as feature_layer
from ppgn.metrics.neighbours import Copies as Copies
from ppgn.metrics.neighbours import copies as copies
from ppgn.metrics.neighbours import manifold as manifold
from ppgn.metrics.report import between as between
from ppgn.metrics.report import finite as finite
from ppgn.metrics.report import halves as halves
from ppgn.metrics.report import like as like
from ppgn.metrics.report import report as report
from ppgn.metrics.scores import activation as activation
from ppgn.metrics.scores import classified as classified
from ppgn.metrics.scores import frechet_distance as frechet_distance
from ppgn.metrics.scores import inception_score as inception_score
from ppgn.metrics.scores import kernel_distance as kernel_distance
