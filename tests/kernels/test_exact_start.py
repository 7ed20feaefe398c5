"""Exact-start tests: chains that begin at exact draws of the law end at exact draws of it.

20,000 chains, 10 steps, false alarm 1e-6 for each test: a shift of any moment by 0.06 standard deviations is seen.
`tests/mutants/test_kernel_mutants.py` runs the same assertion on kernels with planted defects.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import testing
from energax.densities import Gaussian, Uniform
from energax.kernels import (
    ACS,
    DMALA,
    HMC,
    MALA,
    MCLMC,
    NUTS,
    ULA,
    AdjustedMCLMC,
    BlockGibbs,
    Cycle,
    GibbsWithGradients,
    HeatBath,
    IndependenceMetropolis,
    Metropolis,
    Mixture,
    OnPart,
    RandomWalk,
    Repeat,
)
from energax.spaces import Torus
from energax.testing import references
from energax.testing._exact_start import last_of_chains

REFERENCES = {
    "gaussian": references.correlated_gaussian,
    "mixture": references.skewed_mixture,
    "well": references.tilted_double_well,
    "box": references.tilted_box,
    "angle": references.tilted_angle,
    "rbm": references.asymmetric_rbm,
    "ising": references.asymmetric_ising,
    "categorical": references.skewed_categorical,
    "spins and normals": references.spins_and_normals,
    "gaussian rbm": references.asymmetric_gaussian_rbm,
}
KERNELS = {
    "rwm": (RandomWalk(0.8), ("mixture", "well", "box", "angle")),
    "mala": (MALA(0.25), ("mixture", "gaussian", "box", "angle")),
    "mala-preconditioned": (MALA(0.4, preconditioner=[[0.9, 0.0], [-0.4, 0.6]]), ("mixture",)),
    "hmc-preconditioned": (HMC(0.5, 4, [[0.9, 0.0], [-0.4, 0.6]]), ("mixture",)),
    "independence": (IndependenceMetropolis(Gaussian(jnp.array([0.4, -0.2]), 2.0)), ("mixture",)),
    "independence-angle": (IndependenceMetropolis(Uniform(Torus(1))), ("angle",)),
    "hmc": (HMC(0.35, num_leapfrog=4), ("mixture", "well", "box", "angle")),
    "nuts": (NUTS(0.4, max_doublings=3), ("mixture", "angle")),
    "adjusted-mclmc": (AdjustedMCLMC(0.9, 2.0, [0.8, 1.1]), ("mixture", "box")),
    "heat-bath": (HeatBath(), ("ising", "categorical", "rbm")),
    "random-scan": (HeatBath("random"), ("ising",)),
    "gwg": (GibbsWithGradients(), ("categorical",)),
    "gwg-gradient": (GibbsWithGradients("gradient"), ("ising",)),
    "acs": (ACS(), ("categorical", "ising")),
    "dmala": (DMALA(0.5), ("categorical",)),
    "dmala-gradient": (DMALA(0.5, "gradient"), ("rbm",)),
    "metropolis": (Metropolis(), ("categorical",)),
    "metropolis-blocks": (Metropolis("blocks"), ("ising", "rbm")),
    "block-gibbs": (BlockGibbs(), ("rbm", "ising", "gaussian rbm")),
    "parts": (Cycle((OnPart(MALA(0.3), "place"), OnPart(HeatBath(), "spin"))), ("spins and normals",)),
    "cycle": (Cycle((BlockGibbs(), Repeat(HeatBath("random"), 2))), ("rbm",)),
    "mixture": (Mixture((MALA(0.25), RandomWalk(1.5)), (0.7, 0.3)), ("well",)),
}
ORIGINAL = ("rwm", "mala", "hmc", "heat-bath", "block-gibbs")
CASES = [(k, target, "fast") for k, (_, targets) in KERNELS.items() for target in targets]
CASES += [(k, targets[0], "as-given") for k, (_, targets) in KERNELS.items() if k in ORIGINAL]


# BlackJAX's kernels compile long; their second targets are for CI.
LATER = {("nuts", "angle"), ("adjusted-mclmc", "box")}
CASES = [pytest.param(*c, id="-".join(c), marks=[pytest.mark.slow, pytest.mark.ci] * (c[:2] in LATER)) for c in CASES]


@pytest.mark.parametrize(("name", "target", "generator"), CASES)
def test_exact_kernels_keep_the_law(name, target, generator, key):
    kernel = KERNELS[name][0]
    assert kernel.exact
    testing.assert_exact_start(kernel, REFERENCES[target](), generator=generator, key=key)


def test_mala_keeps_the_law_at_a_step_size_that_is_far_too_large(key):
    """Exact at any step size: at h = 0.6 the drift overshoots in the narrow mode and most of it is rejected."""
    testing.assert_exact_start(MALA(0.6), references.skewed_mixture(), key=key)


def test_mclmc_is_nearly_exact_in_small_steps_only(key):
    """Its bias falls with the step: at h = 0.1 it is below what 20,000 chains see, at h = 3 far above.

    In two dimensions, after 20 steps of a direction that is forgotten in a length of 1.
    """
    mixture = references.skewed_mixture()
    testing.assert_exact_start(MCLMC(0.1, 1.0), mixture, num_steps=20, key=key)
    with pytest.raises(AssertionError, match="smallest visible shift"):
        testing.assert_exact_start(MCLMC(3.0, 1.0), mixture, num_steps=20, key=key)


def test_ula_has_its_stated_bias(key):
    """On N(0, 1) with h = 0.4 the variance is exactly 1.25; 20,000 chains see a change of it by 0.12 (4.9 + 3.1 σ)."""
    kernel, stated = ULA(0.4), 1 / (1 - 0.4 / 2)
    draw_key, step_key = jax.random.split(key)
    x = np.sqrt(stated) * jax.random.normal(draw_key, (20_000, 1))
    ends = np.asarray(last_of_chains(kernel, Gaussian(jnp.zeros(1)), x, jax.random.split(step_key, 20_000), 10))
    testing.assert_mean(ends**2, [stated], name="variance of ULA")
    with pytest.raises(AssertionError, match="smallest visible shift"):
        testing.assert_mean(ends**2, [1.0], name="variance of ULA")
