"""Evaluation: log Z and likelihoods as intervals with honest ends, baselines, sample quality, modes."""

from energax.evaluation._base_law import fit_base as fit_base
from energax.evaluation._baselines import Baseline as Baseline
from energax.evaluation._baselines import baselines as baselines
from energax.evaluation._bounds import mean_lower_bound as mean_lower_bound
from energax.evaluation._likelihood import LogLikelihood as LogLikelihood
from energax.evaluation._likelihood import log_likelihood as log_likelihood
from energax.evaluation._log_z import METHODS as METHODS
from energax.evaluation._log_z import log_z as log_z
from energax.evaluation._plane import GridKL as GridKL
from energax.evaluation._plane import ModeMasses as ModeMasses
from energax.evaluation._plane import kl_on_grid as kl_on_grid
from energax.evaluation._plane import mode_masses as mode_masses
from energax.evaluation._quality import SampleQuality as SampleQuality
from energax.evaluation._quality import sample_quality as sample_quality
from energax.evaluation._result import LogZ as LogZ
from energax.evaluation._result import Works as Works
from energax.evaluation._thermodynamics import Thermodynamics as Thermodynamics
from energax.evaluation._thermodynamics import thermodynamics as thermodynamics

__all__ = [
    "METHODS",
    "Baseline",
    "GridKL",
    "LogLikelihood",
    "LogZ",
    "ModeMasses",
    "SampleQuality",
    "Thermodynamics",
    "Works",
    "baselines",
    "fit_base",
    "kl_on_grid",
    "log_likelihood",
    "log_z",
    "mean_lower_bound",
    "mode_masses",
    "sample_quality",
    "thermodynamics",
]
