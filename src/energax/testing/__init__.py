"""For tests of stochastic code: calibrated assertions, exact references, and the contracts of energies and kernels."""

from energax.testing import _cluster_transitions as _cluster_transitions
from energax.testing import _composed_transitions as _composed_transitions
from energax.testing import references as references
from energax.testing._calibrated import FALSE_ALARM as FALSE_ALARM
from energax.testing._calibrated import MISS as MISS
from energax.testing._calibrated import assert_counts as assert_counts
from energax.testing._calibrated import assert_distribution as assert_distribution
from energax.testing._calibrated import assert_mean as assert_mean
from energax.testing._calibrated import assert_same_law as assert_same_law
from energax.testing._calibrated import required_draws as required_draws
from energax.testing._check_energy import check_energy as check_energy
from energax.testing._check_kernel import check_kernel as check_kernel
from energax.testing._check_objective import check_objective as check_objective
from energax.testing._exact_start import assert_exact_start as assert_exact_start
from energax.testing._transitions import assert_detailed_balance as assert_detailed_balance
from energax.testing._transitions import assert_invariant as assert_invariant
from energax.testing._transitions import assert_transitions as assert_transitions
from energax.testing._transitions import log_transition as log_transition
from energax.testing._transitions import transition_matrix as transition_matrix

__all__ = [
    "FALSE_ALARM",
    "MISS",
    "assert_counts",
    "assert_detailed_balance",
    "assert_distribution",
    "assert_exact_start",
    "assert_invariant",
    "assert_mean",
    "assert_same_law",
    "assert_transitions",
    "check_energy",
    "check_kernel",
    "check_objective",
    "log_transition",
    "references",
    "required_draws",
    "transition_matrix",
]
