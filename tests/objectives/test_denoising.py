"""Denoising score matching against its formula and its known optimum."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import testing
from energax._errors import ArgumentError, KernelMismatch, NotTractable, SpaceError
from energax.energies import (
    MLP,
    RBM,
    AbstractConditionalEnergy,
    AtLevel,
    NoiseConditionalMLP,
    Tempered,
    at_level,
    energy,
    score,
)
from energax.objectives import DenoisingScoreMatching, MultiScaleDenoising
from energax.spaces import Box, Euclidean, Product, Torus
from energax.testing import references


def _quadratic(a, x):
    return 0.5 * a * jnp.sum(x**2)


def quadratic(a):
    """E(x) = ½ a ‖x‖² in three dimensions."""
    return energy(_quadratic, jnp.asarray(a), space=Euclidean(3))


@pytest.mark.parametrize("num_copies", [1, 2, 3])
def test_loss_has_the_mean_of_the_formula(num_copies, key):
    """½ σ² E‖∇E(x̃) − (x̃ − x)/σ²‖² by Gauss–Hermite quadrature over the noise; 20,000 draws see a change by 5 %."""
    sigma, model = 0.4, references.skewed_mixture().energy
    batch = jnp.array([[1.0, 0.2], [-0.7, 0.4]])
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    xi = np.stack(np.meshgrid(nodes, nodes), -1).reshape(-1, 2)
    law = np.outer(weights, weights).reshape(-1) / (2 * np.pi)
    noisy = batch[:, None] + sigma * jnp.asarray(xi, jnp.float32)
    slope = -jax.vmap(jax.vmap(lambda x: score(model, x)))(noisy)
    terms = 0.5 * sigma**2 * jnp.sum((slope - (noisy - batch[:, None]) / sigma**2) ** 2, axis=-1)
    want = float(np.mean(np.asarray(terms, np.float64) @ law))
    objective = DenoisingScoreMatching(sigma, num_copies=num_copies)
    run = jax.jit(jax.vmap(lambda k: objective.loss(model, batch, None, key=k)[0]))
    found = np.asarray(run(jax.random.split(key, 20_000)), np.float64)
    testing.assert_mean(found, want, name="loss of denoising score matching")
    with pytest.raises(AssertionError, match="smallest visible"):
        testing.assert_mean(1.05 * found, want)


def test_the_noise_cancels_at_the_curvature_of_the_noise(key):
    """With E = ‖x‖²/(2σ²) each antithetic pair gives ½ ‖x‖²/σ² exactly, whatever the noise."""
    with jax.enable_x64(True):
        batch = jax.random.normal(key, (7, 3), jnp.float64)
        found, _ = DenoisingScoreMatching(0.5).loss(quadratic(4.0), batch, None, key=key)
        assert float(found) == pytest.approx(float(jnp.mean(jnp.sum(batch**2, -1)) / (2 * 0.25)), rel=1e-12)


@pytest.mark.parametrize(("s", "sigma"), [(1.0, 0.5), (0.3, 0.8)])
def test_optimum_for_normal_data(s, sigma, key):
    """Data N(0, s²): dL/da = 3 σ² (a (s² + σ²) − 1), zero at a = 1/(s² + σ²) and nowhere else.

    4,000 batches of 4 rows; a gradient that is off by 3 % of 3 σ² is seen.
    """
    data_key, noise_key = jax.random.split(key)
    batches = s * jax.random.normal(data_key, (4_000, 4, 3))
    keys = jax.random.split(noise_key, 4_000)
    objective = DenoisingScoreMatching(sigma)

    def slope(a, batch, key):
        return jax.grad(lambda a: objective.loss(quadratic(a), batch, None, key=key)[0])(a)

    slopes = jax.jit(jax.vmap(slope, in_axes=(None, 0, 0)))
    best = 1 / (s**2 + sigma**2)
    for factor in (1.0, 0.5, 1.5):
        found = np.asarray(slopes(jnp.asarray(factor * best), batches, keys), np.float64)
        testing.assert_mean(found, 3 * sigma**2 * (factor - 1), name=f"slope at {factor} times the optimum")
    with pytest.raises(AssertionError, match="smallest visible"):
        testing.assert_mean(found, 0.0)


@pytest.mark.parametrize("space", [Box(1, -1.0, 1.0), Torus(1)], ids=["box", "torus"])
def test_folded_spaces_learn_the_folded_law(space, key):
    """The optimum on a box or a circle is the energy of the law smeared and folded: the mean gradient vanishes there.

    Data: uniform, which smearing and folding leave uniform, so that E = w cos(k x) has its optimum at w = 0.
    """
    wave = energy(_wave, jnp.zeros(()), space=space)
    batches = jax.vmap(lambda k: space.initial(key=k))(jax.random.split(key, 16_000)).reshape(4_000, 4, 1)
    objective = DenoisingScoreMatching(0.7)
    slopes = jax.jit(jax.vmap(lambda b, k: jax.grad(lambda e: objective.loss(e, b, None, key=k)[0])(wave).params))
    found = np.asarray(slopes(batches, jax.random.split(key, 4_000)), np.float64)
    assert found.std() > 0.01
    testing.assert_mean(found, 0.0, name="slope at the uniform law")


def _wave(w, x):
    return w * jnp.sum(jnp.cos(x + 0.4))


class Curved(AbstractConditionalEnergy):
    """E(x; σ) = ½ ‖x‖²/σ²."""

    factor: jax.Array

    def given(self, c):
        return quadratic(self.factor / c**2)


def test_every_level_has_the_weight_of_its_variance(key):
    """Noise cancels where E = ‖x‖²/(2σ²): each row gives ½ ‖x‖²/σ² of its level, and rows take levels in turn."""
    with jax.enable_x64(True):
        scales, x = (0.5, 1.0, 2.0), jnp.array([0.3, -1.0, 2.0], jnp.float64)
        family = AtLevel(Curved(jnp.ones((), jnp.float64)), 0.5)
        objective = MultiScaleDenoising(scales, num_copies=4)
        found, _ = objective.loss(family, jnp.tile(x, (6, 1)), None, key=key)
        want = np.mean([0.5 * float(x @ x) / sigma**2 for sigma in scales])
        assert float(found) == pytest.approx(want, rel=1e-12)


def test_the_network_of_all_levels_begins_as_a_smeared_normal_law(key):
    family = NoiseConditionalMLP(2, hidden=(8,), scale=0.7, key=key)
    silent = eqx.tree_at(lambda f: f.network, family, replace_fn=lambda net: jax.tree.map(jnp.zeros_like, net))
    for sigma in (0.1, 2.0):
        want = 0.5 * (1.0 + 4.0) / (0.49 + sigma**2)
        assert float(AtLevel(silent, sigma)(jnp.array([1.0, -2.0]))) == pytest.approx(want, rel=1e-6)
    x = jnp.array([1.0, -2.0])
    assert float(family.given(0.1)(x)) != float(family.given(0.2)(x))
    assert float(at_level(Tempered(AtLevel(family, 0.1), 0.5), 0.2)(x)) == pytest.approx(
        0.5 * float(family.given(0.2)(x)), rel=1e-6
    )


def test_many_levels_need_a_family(key):
    with pytest.raises(ArgumentError, match="positive noise_scales"):
        MultiScaleDenoising(())
    objective = MultiScaleDenoising((1.0, 0.1))
    objective.check(AtLevel(NoiseConditionalMLP(2, hidden=(8,), key=key), 0.1))
    with pytest.raises(KernelMismatch, match=r"is one energy, and a family.*AtLevel\(model, level\)"):
        objective.check(MLP(2, key=key))


def test_what_is_refused():
    with pytest.raises(ArgumentError, match="noise_scale > 0 and num_copies >= 1"):
        DenoisingScoreMatching(0.0)
    with pytest.raises(ArgumentError, match="num_copies >= 1"):
        DenoisingScoreMatching(0.1, num_copies=0)
    objective = DenoisingScoreMatching(0.1)
    with pytest.raises(KernelMismatch, match=r"needs a score, but space=Binary.*Try PersistentCD"):
        objective.check(RBM(4, 3, key=jax.random.key(0)))
    with pytest.raises(NotTractable, match="no confining base measure"):
        objective.check(MLP(2, confinement=None, key=jax.random.key(0)))
    pair = energy(_pair, space=Product({"a": Euclidean(2), "b": Euclidean(1)}))
    with pytest.raises(SpaceError, match="configurations that are one array"):
        objective.check(pair)


def _pair(x):
    return jnp.sum(x["a"] ** 2) + jnp.sum(x["b"] ** 2)
