"""Kernels made of kernels: their matrices are products, mixtures and powers, and what they declare follows."""

import jax.numpy as jnp
import numpy as np
import pytest

from energax import densities, energies, kernels, paths, sampling, testing
from energax._errors import ArgumentError, KernelMismatch
from energax.kernels import HMC, MALA, ULA, BlockGibbs, Cycle, HeatBath, Mixture, OnPart, RandomWalk, Repeat
from energax.spaces import Binary, Categorical, Product
from energax.testing import references

FIELD = jnp.array([[0.3, -0.4], [0.1, 0.7]])
SWEEP, RANDOM, BLOCKS = HeatBath(), HeatBath("random"), BlockGibbs()


def _ising():
    return energies.Ising(2, coupling=0.3, field=FIELD)


def _two_parts(w, x):
    a, b = x["colour"].astype(w.dtype), x["unit"].astype(w.dtype)
    return w[0] * jnp.sum(a) + w[1] * a[0] * b[0] + w[2] * a[1] * b[1] + w[3] * b[0] * b[1]


def _discrete_product():
    """Two sites of three colours and two units, all coupled: 36 configurations."""
    space = Product({"colour": Categorical(2, num_categories=3), "unit": Binary(2)})
    return energies.energy(_two_parts, jnp.array([0.4, -0.9, 0.6, 1.1]), space=space)


def test_the_matrix_of_a_composite_is_that_of_its_parts():
    ising = _ising()
    sweep, random, blocks = (testing.transition_matrix(k, ising) for k in (SWEEP, RANDOM, BLOCKS))
    np.testing.assert_allclose(
        testing.transition_matrix(Cycle((SWEEP, RANDOM, BLOCKS)), ising), sweep @ random @ blocks, atol=1e-14
    )
    np.testing.assert_allclose(
        testing.transition_matrix(Mixture((SWEEP, RANDOM), (3.0, 1.0)), ising), 0.75 * sweep + 0.25 * random, atol=1e-14
    )
    np.testing.assert_allclose(
        testing.transition_matrix(Repeat(RANDOM, 3), ising), random @ random @ random, atol=1e-14
    )


@pytest.mark.parametrize(
    "kernel",
    [
        Cycle((OnPart(SWEEP, "colour"), OnPart(SWEEP, "unit"))),
        Mixture((OnPart(RANDOM, "colour"), Repeat(OnPart(SWEEP, "unit"), 2)), (0.3, 0.7)),
    ],
    ids=["cycle", "mixture"],
)
def test_kernels_on_the_parts_of_a_product_leave_the_law_invariant(kernel):
    assert testing.assert_invariant(kernel, _discrete_product()) <= 1e-14


def test_one_part_alone_is_held_by_the_other():
    matrix = testing.transition_matrix(OnPart(RANDOM, "unit"), _discrete_product())
    assert np.abs(np.linalg.matrix_power(matrix, 200)).max() < 1
    assert np.linalg.matrix_rank(np.eye(36) - matrix, tol=1e-9) == 36 - 9


@pytest.mark.parametrize(
    "kernel",
    [Mixture((SWEEP, RANDOM), (0.6, 0.4)), Repeat(Cycle((RANDOM, SWEEP)), 2)],
    ids=["mixture", "nested"],
)
def test_step_does_what_the_matrix_says(kernel, key):
    """20,000 steps from one configuration: a change of all probabilities by 7 % or so of their size is visible."""
    testing.assert_transitions(kernel, _ising(), start=5, key=key)


def test_what_a_composite_declares_follows_from_its_parts():
    mixed = Cycle((HMC(0.1), Repeat(Mixture((RandomWalk(1.0), ULA(0.1))), 2)))
    assert not mixed.exact
    assert mixed.needs == {"score", "continuous"}
    assert Cycle((HMC(0.1), RandomWalk(1.0))).exact
    assert not OnPart(ULA(0.1), "x").exact
    assert Cycle((BLOCKS, SWEEP)).uses_hidden
    assert not Repeat(SWEEP, 2).uses_hidden


def test_weights_of_a_mixture_are_no_axis_of_a_ladder(key):
    """Also where there are as many kernels as levels."""
    kernel = Mixture((RandomWalk(0.5), RandomWalk(2.0)), (0.5, 0.5))
    path = paths.Geometric(densities.Gaussian(jnp.zeros(2), 2.0), references.skewed_mixture().energy)
    pair = sampling.replica_exchange(path, kernel, jnp.array([0.0, 1.0]), key=key, num_sweeps=4)
    assert np.isfinite(pair.energy).all()


def test_a_kernel_that_does_not_fit_a_part_names_those_that_do():
    mixed = references.spins_and_normals().energy
    with pytest.raises(KernelMismatch) as caught:
        kernels.target(mixed, HMC(0.1))
    assert "Cycle((OnPart(HMC(step_size=0.1), 'place'), OnPart(HeatBath(), 'spin'),))" in str(caught.value)
    with pytest.raises(KernelMismatch, match=r"needs a score, .* in a part 'spin'"):
        kernels.target(mixed, Cycle((OnPart(MALA(0.1), "spin"),)))
    with pytest.raises(KernelMismatch, match=r"in a part 'spins', .*OnPart\(HeatBath\(\), 'spin'\)"):
        kernels.target(mixed, OnPart(SWEEP, "spins"))
    with pytest.raises(KernelMismatch, match="Cycle needs a score"):
        kernels.target(_ising(), Cycle((SWEEP, MALA(0.1))))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Cycle(()), "at least one kernel"),
        (lambda: Cycle((SWEEP, "sweep")), "made of kernels"),
        (lambda: Mixture((SWEEP, RANDOM), (1.0,)), "a positive weight for each of its 2 kernels"),
        (lambda: Mixture((SWEEP, RANDOM), (1.0, -1.0)), "a positive weight"),
        (lambda: Repeat(SWEEP, 0), "num_steps of at least 1"),
        (lambda: OnPart("sweep", "x"), "a kernel and a part's name"),
    ],
)
def test_nonsense_is_refused(make, told):
    with pytest.raises(ArgumentError, match=told):
        make()
