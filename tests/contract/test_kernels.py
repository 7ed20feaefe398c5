"""The public contract of kernels, over a table of all of them and energies that they fit."""

import jax
import pytest

from energax import energies, kernels, testing
from energax.densities import Gaussian, Uniform
from energax.kernels import (
    ACS,
    DMALA,
    DULA,
    HMC,
    MALA,
    MCLMC,
    NUTS,
    SGLD,
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
    SwendsenWang,
    UnderdampedLangevin,
    Wolff,
)
from energax.spaces import Box
from energax.testing import references

CLAUSES = (
    "declarations",
    "state",
    "jit",
    "vmap",
    "one_trace",
    "dtypes",
    "refresh",
    "keys",
    "info",
    "inside",
    "nonfinite",
    "stored",
    "exact_start",
)
TABLE = {
    "rwm-well": (RandomWalk(0.8), references.tilted_double_well),
    "rwm-angle": (RandomWalk(0.8), references.tilted_angle),
    "ula-well": (ULA(0.02), references.tilted_double_well),
    "mala-mixture": (MALA(0.3), references.skewed_mixture),
    "mala-box": (MALA(0.2), references.tilted_box),
    "mala-preconditioned": (
        MALA(0.4, preconditioner=[[0.7, 0.0, 0.0], [0.4, 0.9, 0.0], [-0.3, 0.5, 1.3]]),
        references.correlated_gaussian,
    ),
    "underdamped-well": (UnderdampedLangevin(0.2), references.tilted_double_well),
    "underdamped-box": (
        UnderdampedLangevin(0.3, scheme="obabo", preconditioner=[0.5, 0.8]),
        references.tilted_box,
    ),
    "independence-box": (IndependenceMetropolis(Uniform(Box(2, -1.0, 1.0))), references.tilted_box),
    "nuts-box": (NUTS(0.5, [0.5, 0.8], max_doublings=3), references.tilted_box),
    "sgld-well": (SGLD(0.02, batch_size=2), references.tilted_double_well),
    "mclmc-mixture": (MCLMC(0.5, 1.4), references.skewed_mixture),
    "adjusted-mclmc-box": (AdjustedMCLMC(0.5, 1.2, [0.5, 0.8]), references.tilted_box),
    "hmc-well": (HMC(0.2, num_leapfrog=3), references.tilted_double_well),
    "heat-bath-categorical": (HeatBath(), references.skewed_categorical),
    "heat-bath-rbm": (HeatBath("random"), references.asymmetric_rbm),
    "swendsen-wang-ising": (SwendsenWang(), references.asymmetric_ising),
    "wolff-ising": (Wolff(), references.asymmetric_ising),
    "gwg-categorical": (GibbsWithGradients(), references.skewed_categorical),
    "acs-ising": (ACS([3.0, 0.5], [0.9, 0.5]), references.asymmetric_ising),
    "dula-ising": (DULA(0.3), references.asymmetric_ising),
    "dmala-rbm": (DMALA(0.5, "gradient"), references.asymmetric_rbm),
    "metropolis-categorical": (Metropolis(), references.skewed_categorical),
    "block-gibbs-ising": (BlockGibbs(), references.asymmetric_ising),
    "block-gibbs-rbm": (BlockGibbs(), references.asymmetric_rbm),
    "block-gibbs-gaussian-rbm": (BlockGibbs(), references.asymmetric_gaussian_rbm),
    "cycle-parts": (
        Cycle((OnPart(RandomWalk(0.8), "place"), OnPart(HeatBath("random"), "spin"))),
        references.spins_and_normals,
    ),
    "part-alone": (OnPart(RandomWalk(0.8), "place"), references.spins_and_normals),
    "mixture-well": (Mixture((RandomWalk(0.3), RandomWalk(1.5)), (0.7, 0.3)), references.tilted_double_well),
    "repeat-angle": (Repeat(RandomWalk(0.8), 2), references.tilted_angle),
}


def test_the_table_has_every_kernel():
    public = {getattr(kernels, name) for name in kernels.__all__}
    concrete = {c for c in public if isinstance(c, type) and issubclass(c, kernels.AbstractKernel)} - {
        kernels.AbstractKernel,
        kernels.AbstractStepSizeKernel,
    }
    assert {type(kernel) for kernel, _ in TABLE.values()} == concrete


# BlackJAX's kernels compile for ten seconds each; those that follow have another row.
LATER = {"nuts-box", "mclmc-mixture", "adjusted-mclmc-box"}
AGAIN = {"heat-bath-rbm", "mala-mixture", "dmala-rbm"}


def _marks(row):
    return [pytest.mark.slow] * (row in LATER | AGAIN) + [pytest.mark.ci] * (row in LATER)


ROWS = [pytest.param(row, marks=_marks(row)) for row in TABLE]


@pytest.mark.parametrize("row", ROWS)
def test_contract(row, key):
    kernel, make = TABLE[row]
    reference = make()
    draw_key, check_key = jax.random.split(key)
    draws = reference.draw(key=draw_key, num=8_000)
    checked = testing.check_kernel(kernel, reference.energy, exact_draws=draws, key=check_key)
    assert checked == (CLAUSES if kernel.exact else CLAUSES[:-1])


@pytest.mark.slow
@pytest.mark.parametrize("row", ["mala-box", "block-gibbs-rbm"])
def test_contract_in_float64(row, key):
    kernel, make = TABLE[row]
    with jax.enable_x64(True):
        kernel = kernel.with_step_size(kernel.step_size.astype(float)) if row == "mala-box" else kernel
        assert "nonfinite" in testing.check_kernel(kernel, make().energy, tolerance=1e-12, key=key)


def test_refuses_what_is_no_kernel(key):
    with pytest.raises(ValueError, match="needs a kernel, got function"):
        testing.check_kernel(lambda x: x, Gaussian(jax.numpy.zeros(2)), key=key)


def test_refuses_a_kernel_that_does_not_fit(key):
    with pytest.raises(TypeError, match="MALA needs a score"):
        testing.check_kernel(MALA(0.1), energies.Ising(3), key=key)
