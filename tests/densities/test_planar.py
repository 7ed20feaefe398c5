"""The named laws of the plane: normalised, drawn from exactly, and in the scales of the literature."""

import functools
import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

from energax import densities
from energax._errors import ArgumentError
from energax.testing import check_energy

FALSE_ALARM = 1e-6
NUM_CELLS = 400
NUM_DRAWS = 80_000
BLOCK = 1600


@functools.cache
def law(name):
    """In double precision, once for all tests of this file."""
    with jax.enable_x64(True):
        return densities.planar(name)


@jax.jit
def _log_probs(density, blocks):
    return jax.lax.map(jax.vmap(density.log_prob), blocks)


def log_probs(density, points):
    with jax.enable_x64(True):
        padded = np.concatenate([points, np.zeros((-len(points) % (BLOCK * 10), 2))])
        parts = padded.reshape(-1, 10, BLOCK, 2)
        return np.concatenate([np.asarray(_log_probs(density, jnp.asarray(p))).ravel() for p in parts])[: len(points)]


@functools.cache
def grid(name):
    """Cell centres and log p on them; the cells fill the square that holds the law."""
    half_width = densities.planar_half_width(name)
    edge = 2 * half_width / NUM_CELLS
    centres = (np.arange(NUM_CELLS) + 0.5) * edge - half_width
    points = np.stack(np.meshgrid(centres, centres, indexing="ij"), -1).reshape(-1, 2)
    return edge, log_probs(law(name), points).reshape(NUM_CELLS, NUM_CELLS)


@jax.jit
def _draw(density, keys):
    return jax.vmap(lambda k: density.draw(key=k))(keys)


def draw(density, key, num_draws=NUM_DRAWS):
    with jax.enable_x64(True):
        return np.asarray(_draw(density, jax.random.split(key, num_draws)))


@pytest.mark.parametrize("name", densities.PLANAR_NAMES)
def test_normalised_on_a_fine_grid(name):
    edge, log_p = grid(name)
    assert abs(np.exp(log_p).sum() * edge**2 - 1) < 1e-9


def cell_counts_p_value(name, draws):
    """χ² of 20 × 20 cells of the grid; cells with fewer than 50 expected draws are merged."""
    edge, log_p = grid(name)
    width, big = densities.planar_half_width(name), NUM_CELLS // 20
    probs = (np.exp(log_p) * edge**2).reshape(20, big, 20, big).sum((1, 3)).ravel()
    index = np.floor((draws + width) / (big * edge)).astype(int)
    assert np.all((index >= 0) & (index < 20)), "a draw outside the square that holds all but 1e-12 of the law"
    counts = np.bincount(index[:, 0] * 20 + index[:, 1], minlength=400)
    large = probs * len(draws) >= 50
    observed, expected = counts[large], probs[large] * len(draws)
    rest = counts[~large].sum(), probs[~large].sum() * len(draws)
    if rest[1] >= 50:
        observed, expected = np.append(observed, rest[0]), np.append(expected, rest[1])
    return scipy.stats.chi2.sf(((observed - expected) ** 2 / expected).sum(), len(expected) - 1)


@pytest.mark.parametrize("name", densities.PLANAR_NAMES)
def test_draws_follow_the_density(name, key):
    # must see: noise 5 % too wide, or one arm with a share 2 % off
    draws = draw(law(name), key)
    assert cell_counts_p_value(name, draws) > FALSE_ALARM
    # and inside the cells: the mean of log p over draws is minus the entropy
    edge, log_p = grid(name)
    finite = np.where(np.isfinite(log_p), log_p, 0.0)
    entropy = -(np.exp(log_p) * finite).sum() * edge**2
    at_draws = log_probs(law(name), draws)
    stderr = at_draws.std() / math.sqrt(NUM_DRAWS)
    assert abs(at_draws.mean() + entropy) <= 4.9 * stderr + 1e-12


@pytest.mark.parametrize("name", ["two-moons", "rings"])
def test_the_test_of_draws_sees_noise_that_is_five_per_cent_too_wide(name, key):
    density = law(name)
    with jax.enable_x64(True):
        wide = eqx.tree_at(lambda d: d.scale, density, density.scale * 1.05)
    draws = draw(wide, key)
    at_draws = log_probs(density, draws)
    edge, log_p = grid(name)
    entropy = -(np.exp(log_p) * log_p).sum() * edge**2
    z = (at_draws.mean() + entropy) / (at_draws.std() / math.sqrt(NUM_DRAWS))
    assert cell_counts_p_value(name, draws) < FALSE_ALARM or abs(z) > 4.9


def reference_curve(name):
    """(arms, law of t, first t, last t, σ) written from the usual generators, not from the code under test."""
    if name == "two-moons":
        arms = (
            lambda t: np.array([np.cos(t) * 2 - 1, np.sin(t) * 2 - 0.2]),
            lambda t: np.array([(1 - np.cos(t)) * 2 - 1, (1 - np.sin(t) - 0.5) * 2 - 0.2]),
        )
        return arms, lambda t: 1 / np.pi + 0 * t, 0.0, np.pi, 0.2
    if name == "swiss-roll":
        arms = (lambda t: np.array([t * np.cos(t), t * np.sin(t)]) / 5,)
        return arms, lambda t: 1 / (3 * np.pi) + 0 * t, 1.5 * np.pi, 4.5 * np.pi, 0.2
    arms = (
        lambda t: np.array([-np.cos(t) * t, np.sin(t) * t]) / 3,
        lambda t: np.array([np.cos(t) * t, -np.sin(t) * t]) / 3,
    )
    return arms, lambda t: 2 * t / (3 * np.pi) ** 2, 0.0, 3 * np.pi, 0.1


def many_nodes(name, points):
    """log p by 2000 Gauss–Legendre nodes on each arm, in 100 equal pieces of the parameter."""
    arms, weight, start, stop, scale = reference_curve(name)
    nodes, weights = np.polynomial.legendre.leggauss(20)
    half = (stop - start) / 200
    t = (start + half * (2 * np.arange(100)[:, None] + 1 + nodes)).ravel()
    log_w = np.log(np.tile(weights, 100) * half * weight(t) / len(arms))
    curve = np.concatenate([arm(t).T for arm in arms])
    squared = ((points[:, None, :] - curve[None]) ** 2).sum(-1)
    terms = np.tile(log_w, len(arms)) - squared / (2 * scale**2)
    return scipy.special.logsumexp(terms, axis=1) - math.log(2 * math.pi * scale**2)


CURVES = ["two-moons", "swiss-roll", "spirals"]


@pytest.mark.parametrize("name", CURVES)
def test_quadrature_is_accurate_to_1e8_near_and_far(name):
    arms, _, start, stop, scale = reference_curve(name)
    rng = np.random.default_rng(1)
    t = rng.uniform(start, stop, 300)
    on_curve = np.concatenate([arm(part).T for arm, part in zip(arms, np.array_split(t, len(arms)), strict=True)])
    direction = rng.normal(size=on_curve.shape)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    points = on_curve + scale * rng.uniform(0, 6, (300, 1)) * direction
    assert np.abs(log_probs(law(name), points) - many_nodes(name, points)).max() < 1e-8


@pytest.mark.parametrize("name", CURVES)
def test_quadrature_agrees_with_adaptive_integration(name):
    arms, weight, start, stop, scale = reference_curve(name)
    points = draw(law(name), jax.random.key(5))[:4]

    def integrand(t, x):
        bumps = sum(np.exp(-((x - arm(t)) ** 2).sum() / (2 * scale**2)) for arm in arms)
        return weight(t) / len(arms) * bumps / (2 * np.pi * scale**2)

    # cut into pieces no longer than the bump is wide, so that the adaptive rule cannot miss it
    edges = np.linspace(start, stop, 40)
    exact = [
        math.log(
            sum(scipy.integrate.quad(integrand, a, b, (x,), epsabs=1e-13)[0] for a, b in itertools.pairwise(edges))
        )
        for x in points
    ]
    assert np.abs(log_probs(law(name), points) - exact).max() < 1e-8


def test_rings_agree_with_a_sum_over_the_circle():
    radii, scale = np.array([0.75, 1.5, 2.25, 3.0]), 0.08
    points = np.random.default_rng(2).uniform(-3.4, 3.4, (300, 2))
    angle = 2 * np.pi * np.arange(3000) / 3000
    circle = np.concatenate([r * np.stack([np.cos(angle), np.sin(angle)], -1) for r in radii])
    squared = ((points[:, None] - circle[None]) ** 2).sum(-1)
    exact = scipy.special.logsumexp(-squared / (2 * scale**2), axis=1) - math.log(len(circle) * 2 * math.pi * scale**2)
    assert np.abs(log_probs(law("rings"), points) - exact).max() < 1e-9


def test_pinwheel_is_the_twisted_gaussian():
    """Forward twist of a point, density by the change of variables with a finite-difference Jacobian."""

    def twist(z):
        blob = np.array([1 + 0.3 * z[0], 0.1 * z[1]])
        angle = 0.25 * math.exp(math.hypot(*blob))
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        return 2 * turn @ blob

    alone = densities.Pinwheel(1)
    for z in np.random.default_rng(3).normal(size=(20, 2)):
        step = 1e-6
        columns = [(twist(z + step * e) - twist(z - step * e)) / (2 * step) for e in np.eye(2)]
        exact = -0.5 * z @ z - math.log(2 * math.pi) - math.log(abs(np.linalg.det(np.stack(columns, -1))))
        assert float(alone.log_prob(jnp.asarray(twist(z), jnp.float32))) == pytest.approx(exact, abs=2e-4)


ENTROPIES = {
    # the published floors are Monte Carlo, ± 0.0007; the exact ones beside them
    "25gaussians": math.log(25) + math.log(2 * math.pi * math.e) + 2 * math.log(0.2 / 1.414),
    "8gaussians": 2.8314,
    "checkerboard": math.log(32),
}


@pytest.mark.parametrize("name", ENTROPIES)
def test_entropies_are_those_of_the_literature(name):
    edge, log_p = grid(name)
    entropy = -(np.exp(log_p) * np.where(np.isfinite(log_p), log_p, 0.0)).sum() * edge**2
    tolerance = 4.9 * 0.0007 if name == "8gaussians" else 1e-5
    assert abs(entropy - ENTROPIES[name]) < tolerance
    if name == "25gaussians":
        assert abs(entropy - 2.1431) < 4.9 * 0.0007


@pytest.mark.parametrize(("name", "distance"), [("two-gaussians", 2.5), ("two-islands", 12.0)])
def test_masses_of_two_gaussians(name, distance):
    """P(x < 0) = 0.3 Φ(a) + 0.7 Φ(−a), a the half distance in standard deviations; the midpoint rule misses 1e-5."""
    edge, log_p = grid(name)
    left = min(np.exp(half).sum() for half in (log_p[: NUM_CELLS // 2], log_p[:, : NUM_CELLS // 2])) * edge**2
    inside = scipy.stats.norm.cdf(distance / 2)
    assert left == pytest.approx(0.3 * inside + 0.7 * (1 - inside), abs=1e-4)


@pytest.mark.parametrize("name", [*CURVES, "rings", "checkerboard", "pinwheel"])
def test_single_precision_is_finite_and_close(name):
    density = densities.planar(name)
    draws = draw(law(name), jax.random.key(7))[:253].astype(np.float32)
    far = np.array([[0.0, 0.0], [30.0, -20.0], [-6.0, 6.0]], np.float32)
    points = np.concatenate([draws, far])
    values, slopes = jax.vmap(jax.value_and_grad(density.log_prob))(jnp.asarray(points))
    assert values.dtype == jnp.float32
    if name != "checkerboard":
        assert np.all(np.isfinite(values))
    assert np.all(np.isfinite(slopes))
    exact = log_probs(law(name), draws.astype(np.float64))
    assert np.abs(np.asarray(values[:-3]) - exact).max() < 5e-3


def test_the_pattern_of_the_checkerboard():
    board = law("checkerboard")
    for x, y, inside in [
        (0.5, 0.5, True),
        (0.5, 2.5, False),
        (-1, 1, False),
        (-1, 3, True),
        (-3, -3, True),
        (5, 1, False),
    ]:
        assert np.isfinite(board.log_prob(jnp.array([float(x), float(y)]))) == inside


def test_the_scale_is_the_only_parameter_of_a_curve():
    density = law("two-moons")
    assert [leaf.shape for leaf in jax.tree.leaves(density)] == [()]
    assert density.nodes[0].shape == (192, 2)
    assert density.nodes[1].sum() == pytest.approx(1.0, abs=1e-14)


# one of each class; the curves share theirs
@pytest.mark.parametrize(
    "name",
    [
        "two-moons",
        "pinwheel",
        pytest.param("rings", marks=pytest.mark.slow),
        pytest.param("checkerboard", marks=pytest.mark.slow),
    ],
)
def test_contract_of_energies(name, key):
    density = densities.planar(name)
    points = jnp.asarray(draw(law(name), key)[:4], jnp.float32)
    assert "exact_draw" in check_energy(density, points=points, wrappers=False, key=key)


@pytest.mark.parametrize("name", densities.PLANAR_NAMES)
def test_far_away_the_energy_is_a_number_or_infinite(name):
    density = densities.planar(name)
    values = jax.vmap(density)(jnp.asarray([[1e4, -1e4], [300.0, 0.0], [0.0, 0.0]]))
    assert not np.any(np.isnan(values))
    if name != "checkerboard":
        assert np.all(np.isfinite(values))


def test_unknown_name_gives_the_nearest():
    with pytest.raises(ArgumentError, match=r"no planar density 'two-moon'.*Did you mean 'two-moons'"):
        densities.planar("two-moon")


@pytest.mark.parametrize(
    "make",
    [
        lambda: densities.SmearedCurve(densities.Moons(), 0.0),
        lambda: densities.Rings((1.0, -1.0)),
        lambda: densities.Checkerboard(3),
        lambda: densities.Pinwheel(0),
    ],
)
def test_impossible_parameters_are_refused(make):
    with pytest.raises(ArgumentError, match="got"):
        make()
