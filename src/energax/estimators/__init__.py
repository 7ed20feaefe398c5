"""Estimators in NumPy float64, usable alone: numbers with error bars, and the diagnostics that make them believable."""

from energax.estimators._autocorrelation import chain_mean as chain_mean
from energax.estimators._autocorrelation import ess as ess
from energax.estimators._autocorrelation import r_hat as r_hat
from energax.estimators._autocorrelation import tau as tau
from energax.estimators._bar import bar as bar
from energax.estimators._covariance import covariance as covariance
from energax.estimators._crooks import CrooksRatio as CrooksRatio
from energax.estimators._crooks import crooks as crooks
from energax.estimators._crooks import crooks_ratio as crooks_ratio
from energax.estimators._dissipation import dissipated_work as dissipated_work
from energax.estimators._estimate import Estimate as Estimate
from energax.estimators._estimate import Interval as Interval
from energax.estimators._estimate import IntervalKind as IntervalKind
from energax.estimators._flat_histogram import weighted_histogram as weighted_histogram
from energax.estimators._frechet import frechet_distance as frechet_distance
from energax.estimators._free_energy import fep as fep
from energax.estimators._free_energy import jarzynski as jarzynski
from energax.estimators._integration import thermodynamic_integration as thermodynamic_integration
from energax.estimators._inverse_ising import InverseIsing as InverseIsing
from energax.estimators._inverse_ising import inverse_ising as inverse_ising
from energax.estimators._ladders import LadderHistogram as LadderHistogram
from energax.estimators._ladders import histogram_of_counts as histogram_of_counts
from energax.estimators._ladders import ladder_histogram as ladder_histogram
from energax.estimators._log_z import BoundStatistic as BoundStatistic
from energax.estimators._log_z import group_log_z as group_log_z
from energax.estimators._log_z import log_z_from_work as log_z_from_work
from energax.estimators._log_z import log_z_interval as log_z_interval
from energax.estimators._log_z import lower_bound as lower_bound
from energax.estimators._log_z import upper_bound as upper_bound
from energax.estimators._mbar import Mbar as Mbar
from energax.estimators._mbar import mbar as mbar
from energax.estimators._mmd import MmdKernel as MmdKernel
from energax.estimators._mmd import energy_distance as energy_distance
from energax.estimators._mmd import mmd as mmd
from energax.estimators._modes import ModeShares as ModeShares
from energax.estimators._modes import mode_shares as mode_shares
from energax.estimators._modes import nearest_centre as nearest_centre
from energax.estimators._neighbours import NeighbourCheck as NeighbourCheck
from energax.estimators._neighbours import adversarial_accuracy as adversarial_accuracy
from energax.estimators._neighbours import nearest_neighbour_check as nearest_neighbour_check
from energax.estimators._pareto import pareto_shape as pareto_shape
from energax.estimators._precision_recall import PrecisionRecall as PrecisionRecall
from energax.estimators._precision_recall import precision_recall as precision_recall
from energax.estimators._ranking import RankingCurve as RankingCurve
from energax.estimators._ranking import auc_pr as auc_pr
from energax.estimators._ranking import auc_roc as auc_roc
from energax.estimators._ranking import brier_score as brier_score
from energax.estimators._ranking import calibration_error as calibration_error
from energax.estimators._ranking import ranking_curve as ranking_curve
from energax.estimators._reweighting import MultiHistogram as MultiHistogram
from energax.estimators._reweighting import multi_histogram as multi_histogram
from energax.estimators._reweighting import reweight as reweight
from energax.estimators._transport import sliced_wasserstein as sliced_wasserstein
from energax.estimators._transport import wasserstein as wasserstein
from energax.estimators._weights import ess_from_log_weights as ess_from_log_weights
from energax.estimators._weights import log_mean_exp as log_mean_exp
from energax.estimators._weights import log_mean_exp_stderr as log_mean_exp_stderr
from energax.estimators._weights import max_weight_share as max_weight_share
from energax.estimators._weights import normalized_weights as normalized_weights

__all__ = [
    "BoundStatistic",
    "CrooksRatio",
    "Estimate",
    "Interval",
    "IntervalKind",
    "InverseIsing",
    "LadderHistogram",
    "Mbar",
    "MmdKernel",
    "ModeShares",
    "MultiHistogram",
    "NeighbourCheck",
    "PrecisionRecall",
    "RankingCurve",
    "adversarial_accuracy",
    "auc_pr",
    "auc_roc",
    "bar",
    "brier_score",
    "calibration_error",
    "chain_mean",
    "covariance",
    "crooks",
    "crooks_ratio",
    "dissipated_work",
    "energy_distance",
    "ess",
    "ess_from_log_weights",
    "fep",
    "frechet_distance",
    "group_log_z",
    "histogram_of_counts",
    "inverse_ising",
    "jarzynski",
    "ladder_histogram",
    "log_mean_exp",
    "log_mean_exp_stderr",
    "log_z_from_work",
    "log_z_interval",
    "lower_bound",
    "max_weight_share",
    "mbar",
    "mmd",
    "mode_shares",
    "multi_histogram",
    "nearest_centre",
    "nearest_neighbour_check",
    "normalized_weights",
    "pareto_shape",
    "precision_recall",
    "r_hat",
    "ranking_curve",
    "reweight",
    "sliced_wasserstein",
    "tau",
    "thermodynamic_integration",
    "upper_bound",
    "wasserstein",
    "weighted_histogram",
]
