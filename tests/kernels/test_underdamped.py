"""Underdamped Langevin on a harmonic well, where one step is a linear map: identities without random numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from energax import energies, spaces, testing
from energax.densities import Gaussian
from energax.kernels import UnderdampedLangevin
from energax.kernels._underdamped import UnderdampedState
from energax.testing._exact_start import last_of_chains


def _well(stiffness, x):
    return 0.5 * x @ stiffness @ x


def linear_map(options, stiffness):
    """Matrices of (x, p) ← M (x, p) + N ξ for one step in the well ½ xᵀKx, in float64."""
    with jax.enable_x64(True):
        kernel = UnderdampedLangevin(*options)
        stiffness = jnp.asarray(stiffness, jnp.float64)
        energy = energies.energy(_well, stiffness, space=spaces.Euclidean(len(stiffness)))
        dim, count = len(stiffness), kernel.num_noises

        def move(start, noise):
            state = kernel.init(energy, start[:dim], key=jax.random.key(0))
            state = UnderdampedState(state.x, state.value, state.score, start[dim:])
            end = kernel.move(energy, state, list(noise.reshape(count, dim)))
            return jnp.concatenate([end.x, end.momentum])

        start, noise = jnp.zeros(2 * dim), jnp.zeros(count * dim)
        return jax.tree.map(np.asarray, jax.jit(jax.jacfwd(move, argnums=(0, 1)))(start, noise))


def stationary(options, stiffness):
    """The covariance S = M S Mᵀ + N Nᵀ of (x, p)."""
    step, noise = linear_map(options, stiffness)
    return scipy.linalg.solve_discrete_lyapunov(step, noise @ noise.T)


@pytest.mark.parametrize("friction", [0.3, 2.0])
@pytest.mark.parametrize(("stiffness", "h"), [(1.0, 0.8), (4.0, 0.6)])
def test_variance_in_the_harmonic_well(stiffness, h, friction):
    """BAOAB: var(x) = 1/k at any step size; OBABO: 1/(k(1 − kh²/4)), 1.190476 at k = 1 and h = 0.8, var(p) = 1."""
    baoab = stationary((h, friction), [[stiffness]])
    obabo = stationary((h, friction, "obabo"), [[stiffness]])
    assert abs(baoab[0, 0] * stiffness - 1) < 1e-13
    assert abs(baoab[1, 1] - (1 - stiffness * h**2 / 4)) < 1e-13
    assert abs(obabo[0, 0] * stiffness * (1 - stiffness * h**2 / 4) - 1) < 1e-13
    assert abs(obabo[1, 1] - 1) < 1e-13
    assert abs(baoab[0, 1]) < 1e-13
    assert abs(obabo[0, 1]) < 1e-13


@pytest.mark.parametrize("scheme", ["baoab", "obabo"])
def test_only_friction_contracts_phase_space(scheme):
    """Kicks and drifts preserve volume: the determinant of the map is exp(−γh) for each direction."""
    step, _ = linear_map((0.37, 1.3, scheme), [[2.0, 0.3], [0.3, 1.0]])
    assert abs(np.linalg.det(step) - np.exp(-2 * 0.37 * 1.3)) < 1e-14


@pytest.mark.parametrize("scheme", ["baoab", "obabo"])
def test_a_preconditioner_is_a_change_of_coordinates(scheme):
    """With L the Cholesky factor of the covariance the well is the standard one in the coordinates L⁻¹x."""
    stiffness = np.array([[2.0, 0.3], [0.3, 0.5]])
    factor = np.linalg.cholesky(np.linalg.inv(stiffness))
    covariance = stationary((0.8, 0.7, scheme, factor), stiffness)[:2, :2]
    plain = stationary((0.8, 0.7, scheme), np.eye(2))[:2, :2]
    np.testing.assert_allclose(covariance, factor @ plain @ factor.T, atol=1e-13)


def test_obabo_has_its_stated_bias(key):
    """From the stated law N(0, 1.190476) at h = 0.8 the variance stays; 20,000 chains see a change of it by 0.096.

    The momentum starts at its stationary law, which for OBABO is N(0, 1), independent of x.
    """
    kernel, stated = UnderdampedLangevin(0.8, scheme="obabo"), 1 / (1 - 0.8**2 / 4)
    draw_key, step_key = jax.random.split(key)
    x = np.sqrt(stated) * jax.random.normal(draw_key, (20_000, 1))
    ends = np.asarray(last_of_chains(kernel, Gaussian(jnp.zeros(1)), x, jax.random.split(step_key, 20_000), 10))
    testing.assert_mean(ends**2, [stated], name="variance of OBABO")
    with pytest.raises(AssertionError, match="smallest visible shift"):
        testing.assert_mean(ends**2, [1.0], name="variance of OBABO")


def test_baoab_keeps_a_quadratic_law(key):
    """The configurations of a correlated normal law stay exact, although the kernel is not: drawn with p of its law.

    20,000 chains, 10 steps with h = 0.7 (unstable from 1.26): a shift of a moment by 0.06 standard deviations is seen.
    """
    reference = testing.references.correlated_gaussian()
    covariance = reference.energy.covariance
    kernel = UnderdampedLangevin(0.7, preconditioner=jnp.linalg.cholesky(covariance))
    draw_key, momentum_key, step_key = jax.random.split(key, 3)
    x = reference.draw(key=draw_key, num=20_000)
    p = np.sqrt(1 - 0.7**2 / 4) * jax.random.normal(momentum_key, x.shape)

    @jax.jit
    @jax.vmap
    def walk(x, p, key):
        state = kernel.init(reference.energy, x, key=key)
        state = UnderdampedState(state.x, state.value, state.score, p)
        return jax.lax.fori_loop(
            0, 10, lambda i, s: kernel.step(reference.energy, s, key=jax.random.fold_in(key, i))[0], state
        ).x

    reference.assert_matches(walk(x, p, jax.random.split(step_key, 20_000)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"step_size": 0.0}, "positive step_size"),
        ({"step_size": 0.1, "friction": -1.0}, "positive friction"),
        ({"step_size": 0.1, "scheme": "abba"}, "schemes baoab, obabo"),
    ],
)
def test_refuses_options_that_make_no_sense(options, words):
    with pytest.raises(ValueError, match=words):
        UnderdampedLangevin(**options)
