"""Identities of the continuous kernels in float64, without random numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import energies, spaces, testing
from energax.energies import value_and_score
from energax.kernels import HMC, MALA, ULA, RandomWalk
from energax.testing import references

NUM_PAIRS = 200
CONTINUOUS = {
    "gaussian": references.correlated_gaussian,
    "mixture": references.skewed_mixture,
    "well": references.tilted_double_well,
    "box": references.tilted_box,
    "angle": references.tilted_angle,
}


def _pairs(space: spaces.AbstractArraySpace, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Points of the covering space, some of them far outside of the base cell."""
    x, y = 1.5 * jax.random.normal(key, (2, NUM_PAIRS, *space.shape))
    return x, y


@pytest.mark.parametrize("name", CONTINUOUS)
@pytest.mark.parametrize("kernel", [RandomWalk(0.7), MALA(0.3)], ids=["rwm", "mala"])
def test_detailed_balance(kernel, name, key):
    energy = CONTINUOUS[name]().energy
    x, y = _pairs(energy.space, key)
    assert testing.assert_detailed_balance(kernel, energy, x, y) <= 1e-12


def _images(space: spaces.AbstractArraySpace, y: jax.Array) -> jax.Array:
    """The points of the covering space that fold to y (1-D), as far as a step can reach."""
    shifts = np.arange(-6, 7)
    if isinstance(space, spaces.Torus):
        return y + space.period * jnp.asarray(shifts)
    period = 2 * (space.upper - space.lower)
    return jnp.concatenate([y + period * shifts, 2 * space.lower - y + period * shifts])


def _tilted(w: jax.Array, x: jax.Array) -> jax.Array:
    return jnp.sum(w * jnp.sin(x + 0.3) + 0.5 * jnp.cos(2 * x))


@pytest.mark.parametrize("space", [spaces.Box(1, -1.0, 1.0), spaces.Torus(1)], ids=["box", "torus"])
@pytest.mark.parametrize("kernel", [RandomWalk(0.9), MALA(0.4)], ids=["rwm", "mala"])
def test_folded_transition_density_keeps_the_law(kernel, space):
    """Summed over all images of the end point, the density of a move is in detailed balance and loses no mass.

    The law of y given x on the folded space is Σ_images q(y' | x) α(x, y'), with y' the points that fold to y. The
    proposals alone, α = 1, must integrate to one over the cell.
    """
    energy = energies.energy(_tilted, jnp.array(1.2), space=space)
    lower, width = (0.0, space.period) if isinstance(space, spaces.Torus) else (space.lower, space.upper - space.lower)
    with jax.enable_x64(True):
        energy, kernel = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), (energy, kernel))
        langevin = isinstance(kernel, MALA)
        scale = jnp.sqrt(2 * kernel.step_size) if langevin else kernel.step_size

        @jax.jit
        @jax.vmap
        def densities(x, y):
            law = kernel.proposal(kernel.init(energy, x, key=jax.random.key(0)) if langevin else x)
            moves = jax.vmap(lambda z: testing.log_transition(kernel, energy, x, z[None]))(_images(space, y))
            proposals = jax.vmap(lambda z: law.log_prob(z[None]))(_images(space, y))
            mass = jnp.exp(proposals - jnp.log(scale) - 0.5 * jnp.log(2 * jnp.pi)).sum()
            return jnp.exp(jax.nn.logsumexp(moves) - energy(x)), mass

        y = jnp.asarray(np.tile(lower + width * (np.arange(400) + 0.5) / 400, 3))[:, None]
        x = jnp.asarray(np.repeat([0.21, 0.77, 0.95], 400) * width + lower)[:, None]
        there, mass = densities(x, y)
        back, _ = densities(y, x)
    np.testing.assert_allclose(there, back, rtol=1e-12)
    np.testing.assert_allclose(np.asarray(mass).reshape(3, 400).mean(1) * width, 1.0, rtol=1e-12)


def test_accepted_moves_have_the_declared_probability(key):
    """`step` accepts with min(1, exp(log_ratio)) of the configurations that it moves between."""
    energy = references.correlated_gaussian().energy
    with jax.enable_x64(True):
        energy, kernel = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), (energy, MALA(0.4)))
        x = jax.random.normal(key, (500, 3), jnp.float64)

        @jax.jit
        @jax.vmap
        def move(x, key):
            old = kernel.init(energy, x, key=key)
            new, info = kernel.step(energy, old, key=key)
            return info, kernel.log_ratio(old, new)

        info, log_ratio = move(x, jax.random.split(key, 500))
        want = np.exp(np.minimum(log_ratio, 0.0))
    accepted = np.asarray(info.accepted)
    assert 100 < accepted.sum() < 500
    np.testing.assert_allclose(np.asarray(info.accept_prob)[accepted], want[accepted], rtol=1e-10)


@pytest.fixture(scope="module")
def hamiltonian():
    """A 2-D energy without symmetry, and functions of a trajectory of HMC in it, in float64."""
    with jax.enable_x64(True):
        energy = references.skewed_mixture().energy

        def run(step_size, num_leapfrog, x, p):
            kernel = HMC(step_size, num_leapfrog=num_leapfrog)
            state = kernel.init(energy, x, key=jax.random.key(0))
            end, p_end = kernel.trajectory(energy, state, p)
            return end, p_end, state

        yield jax.jit(run, static_argnums=1)


def test_hmc_is_reversible(hamiltonian, key):
    with jax.enable_x64(True):
        x, p = jax.random.normal(key, (2, 2), jnp.float64)
        end, p_end, _ = hamiltonian(jnp.asarray(0.23), 7, x, p)
        back, p_back, _ = hamiltonian(jnp.asarray(0.23), 7, end.x, -p_end)
        assert float(jnp.max(jnp.abs(end.x - x))) > 0.1
        np.testing.assert_allclose(back.x, x, atol=1e-13)
        np.testing.assert_allclose(-p_back, p, atol=1e-13)


def test_hmc_preserves_volume(hamiltonian, key):
    with jax.enable_x64(True):
        z = jax.random.normal(key, (4,), jnp.float64)

        def flow(z):
            end, p_end, _ = hamiltonian(jnp.asarray(0.31), 7, z[:2], z[2:])
            return jnp.concatenate([end.x, p_end])

        assert abs(float(jnp.linalg.det(jax.jacfwd(flow)(z))) - 1) < 1e-12


def test_hmc_conserves_energy_to_second_order(hamiltonian, key):
    """Halving ε at a fixed time divides ΔH by four."""
    with jax.enable_x64(True):
        x, p = jax.random.normal(key, (2, 2), jnp.float64)
        errors = []
        for halvings in range(3):
            end, p_end, start = hamiltonian(jnp.asarray(0.05 / 2**halvings), 16 * 2**halvings, x, p)
            errors.append(float(end.value - start.value + 0.5 * (p_end @ p_end - p @ p)))
    ratios = np.asarray(errors[:-1]) / errors[1:]
    assert np.all(np.abs(ratios - 4) < 0.2), (errors, ratios)


@pytest.mark.parametrize(("sigma", "h"), [(1.0, 0.5), (0.7, 0.2), (2.0, 1.3)])
def test_ula_has_its_stated_stationary_variance(sigma, h):
    """On N(0, σ²) the proposal is x' = a x + b ξ, whose stationary variance b²/(1 − a²) is σ²/(1 − h/(2σ²))."""
    with jax.enable_x64(True):
        energy = energies.energy(_quadratic, jnp.asarray(1 / sigma**2), space=spaces.Euclidean(1))
        kernel = ULA(h)
        laws = [kernel.proposal(kernel.init(energy, jnp.asarray([x]), key=jax.random.key(0))) for x in (0.0, 1.0)]
        a = float(laws[1].mean[0] - laws[0].mean[0])
        variance = float(laws[0].scale) ** 2 / (1 - a**2)
    assert abs(variance - sigma**2 / (1 - h / (2 * sigma**2))) < 1e-13 * variance


def _quadratic(stiffness, x):
    return 0.5 * stiffness * jnp.sum(x**2)


@pytest.mark.parametrize("space", [spaces.Box(3, -0.3, 0.7), spaces.Torus(3, 1.7)], ids=["box", "torus"])
def test_folding_lands_in_the_space_and_keeps_distances(space, key):
    """In float32 too, at the walls and next to them; the derivative is ±1 everywhere."""
    edges = np.float32([-0.3, 0.7, 1.7, 0.0, -1.3])
    near = np.concatenate([np.nextafter(edges, np.float32(s)) for s in (-9, 9)] + [edges, np.float32([-1e-9, 1e-30])])
    x = jnp.concatenate([jnp.asarray(near), 5 * jax.random.normal(key, (1000,))])
    x = jnp.broadcast_to(x[:, None], (len(x), 3))
    folded = jax.vmap(space.fold)(x)
    assert bool(jax.vmap(space.contains)(folded).all())
    assert bool(jax.vmap(space.contains)(jax.vmap(space.fold)(folded)).all())
    slopes = jax.vmap(jax.grad(lambda x: space.fold(x)[0]))(x[len(near) :])
    np.testing.assert_array_equal(np.abs(slopes[:, 0]), 1.0)


def test_score_is_continued_by_the_fold(key):
    """The score in the covering space is that of the energy continued by reflection."""
    energy = references.tilted_box().energy
    x = jax.random.uniform(key, (50, 2), minval=-1.0, maxval=1.0)
    value, score = jax.vmap(lambda x: value_and_score(energy, x))(x)
    mirrored = x.at[:, 0].set(2.0 - x[:, 0])
    value_there, score_there = jax.vmap(lambda x: value_and_score(energy, x))(mirrored)
    np.testing.assert_allclose(value_there, value, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(score_there, score * jnp.array([-1.0, 1.0]), rtol=1e-4, atol=1e-5)
