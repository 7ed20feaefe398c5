"""For tests of stochastic code: calibrated assertions, exact references, and the contracts of energies and kernels."""

from energax.testing import references as references
from energax.testing._calibrated import FALSE_ALARM as FALSE_ALARM
from energax.testing._calibrated import MISS as MISS
from energax.testing._calibrated import assert_counts as assert_counts
from energax.testing._calibrated import assert_distribution as assert_distribution
from energax.testing._calibrated import assert_mean as assert_mean
from energax.testing._calibrated import assert_same_law as assert_same_law
from energax.testing._calibrated import required_draws as required_draws
from energax.testing._check_energy import check_energy as check_energy

__all__ = [
    "FALSE_ALARM",
    "MISS",
    "assert_counts",
    "assert_distribution",
    "assert_mean",
    "assert_same_law",
    "check_energy",
    "references",
    "required_draws",
]
