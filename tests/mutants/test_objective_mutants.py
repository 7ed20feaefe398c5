"""Objectives with one planted defect each, caught by the contract that the right ones keep."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import testing
from energax.densities import Gaussian
from energax.kernels import MALA, target
from energax.objectives import (
    ConcreteScoreMatching,
    ContrastiveDivergence,
    DenoisingScoreMatching,
    EnergyDiscrepancy,
    InteractionScreening,
    MinimumProbabilityFlow,
    PersistentCD,
    PersistentState,
    PseudoLikelihood,
    RatioMatching,
    SitePerturbation,
)
from energax.objectives._contrastive import contrast
from energax.objectives._site_laws import AbstractSiteObjective
from energax.testing import references

KERNEL = MALA(0.4)


class TextInState(ContrastiveDivergence):
    def init(self, energy, batch, *, key):
        return "a leaf"


class VectorMetric(ContrastiveDivergence):
    def loss(self, energy, batch, state, *, key):
        loss, (state, metrics) = ContrastiveDivergence(self.kernel).loss(energy, batch, state, key=key)
        return loss, (state, {**metrics, "energies": jax.vmap(energy)(batch)})


class LooksAtTracers(DenoisingScoreMatching):
    def loss(self, energy, batch, state, *, key):
        scale = self.noise_scale if isinstance(key, jax.core.Tracer) else 2 * self.noise_scale
        return DenoisingScoreMatching(scale).loss(energy, batch, state, key=key)


class GrowingState(PersistentCD):
    def loss(self, energy, batch, state, *, key):
        loss, (state, metrics) = PersistentCD(self.kernel, self.num_chains).loss(energy, batch, state, key=key)
        return loss, (PersistentState(jnp.concatenate([state.x, batch]), state.log_step_size), metrics)


class StopsTheGradient(ContrastiveDivergence):
    def loss(self, energy, batch, state, *, key):
        loss, aux = ContrastiveDivergence(self.kernel).loss(energy, batch, state, key=key)
        return jax.lax.stop_gradient(loss), aux


class NoiseScaleFromTheParameters(DenoisingScoreMatching):
    """Turns a traced number into a Python number."""

    def loss(self, energy, batch, state, *, key):
        scale = float(np.round(np.asarray(energy.shift), 3)) + 0.6
        return DenoisingScoreMatching(scale).loss(energy, batch, state, key=key)


class PythonWeight(ContrastiveDivergence):
    """A number that may change but is no array, so that a new value compiles anew."""

    weight: float = 1.0

    def loss(self, energy, batch, state, *, key):
        loss, aux = ContrastiveDivergence(self.kernel).loss(energy, batch, state, key=key)
        return self.weight * loss, aux


class WeakCounter(PersistentCD):
    """A leaf of weak type that stays one, until it goes through a file."""

    def init(self, energy, batch, *, key):
        state = PersistentCD(self.kernel, self.num_chains).init(energy, batch, key=key)
        return PersistentState(state.x, jnp.add(0.0, 1.0))

    def loss(self, energy, batch, state, *, key):
        inner = PersistentState(state.x, jnp.zeros(()))
        loss, (after, metrics) = PersistentCD(self.kernel, self.num_chains).loss(energy, batch, inner, key=key)
        return loss, (PersistentState(after.x, state.log_step_size + 1.0), metrics)


class OwnRandomness(DenoisingScoreMatching):
    def loss(self, energy, batch, state, *, key):
        key = jax.random.key(np.random.default_rng().integers(2**31))
        return DenoisingScoreMatching(self.noise_scale).loss(energy, batch, state, key=key)


class KeepsKernelStates(PersistentCD):
    """A cache that outlives its energy: the state holds energies and scores of the update before."""

    def init(self, energy, batch, *, key):
        x = batch[: self.num_chains]
        return jax.vmap(lambda x: self.kernel.init(energy, x, key=key))(x)

    def loss(self, energy, batch, state, *, key):
        moved = jax.lax.stop_gradient(target(energy, self.kernel))
        keys = jax.random.split(key, self.num_chains)
        state, _ = jax.vmap(lambda s, k: self.kernel.step(moved, s, key=k))(state, keys)
        loss, metrics = contrast(energy, batch, jax.lax.stop_gradient(state.x))
        return loss, (jax.lax.stop_gradient(state), metrics)


class GradientThroughTheChains(ContrastiveDivergence):
    """Forgets to hold the ends of the chains constant."""

    def loss(self, energy, batch, state, *, key):
        def end(x, key):
            begun = self.kernel.init(energy, x, key=key)
            return self.kernel.step(energy, begun, key=key)[0].x

        loss, metrics = contrast(energy, batch, jax.vmap(end)(batch, jax.random.split(key, len(batch))))
        return loss, (state, metrics)


class NoiseCountedTwice(DenoisingScoreMatching):
    """Regresses on 2ξ: its optimum is the law smeared with another σ."""

    def loss(self, energy, batch, state, *, key):
        noise = self.noise_scale * jax.random.normal(key, batch.shape)
        residual = jax.vmap(jax.grad(energy))(batch + noise) - 2 * noise / self.noise_scale**2
        return 0.5 * jnp.mean(jnp.sum(residual**2, axis=-1)), (state, {})


class OtherValuesOnly(PseudoLikelihood):
    """Normalises over the values that a site does not have."""

    def site_losses(self, ratios):
        return jnp.mean(jax.nn.logsumexp(jnp.where(ratios.others, ratios.log_ratio, -jnp.inf), axis=-1), axis=0)


class ForgetsTheData(RatioMatching):
    """The squares of the conditional laws alone."""

    def site_losses(self, ratios):
        return jnp.mean(jnp.sum(jnp.exp(2 * ratios.log_probs), axis=-1), axis=0)


class NotCentred(InteractionScreening):
    """The whole difference of energies instead of half of it."""

    def site_losses(self, ratios):
        return jnp.mean(jnp.exp(jnp.sum(ratios.log_ratio, axis=-1)), axis=0)


class FlowsBackwards(MinimumProbabilityFlow):
    """Goes from the neighbours to the data."""

    def site_losses(self, ratios):
        flow = jnp.where(ratios.others, jnp.exp(-0.5 * ratios.log_ratio), 0)
        return jnp.mean(jnp.sum(flow, axis=-1), axis=0)


class OneRatioTwice(ConcreteScoreMatching):
    """Takes p(x')/p(x) where p(x)/p(x') belongs."""

    def site_losses(self, ratios):
        terms = 0.5 * jnp.exp(2 * ratios.log_ratio) - jnp.exp(ratios.log_ratio)
        return jnp.mean(jnp.sum(jnp.where(ratios.others, terms, 0), axis=-1), axis=0)


class MoreUpThanDown(SitePerturbation):
    """A perturbation that is not symmetric."""

    def draw(self, space, x, *, key):
        y = SitePerturbation(self.rate).draw(space, x, key=key)
        return jnp.where(jax.random.bernoulli(key, 0.2, x.shape), jnp.ones_like(x), y)


class SwappedSign(ContrastiveDivergence):
    def loss(self, energy, batch, state, *, key):
        loss, aux = ContrastiveDivergence(self.kernel).loss(energy, batch, state, key=key)
        return -loss, aux


MUTANTS = [
    (TextInState(KERNEL), "state"),
    (VectorMetric(KERNEL), "scalars"),
    (LooksAtTracers(0.6), "jit"),
    (GrowingState(KERNEL, 8), "fixed_point"),
    (StopsTheGradient(KERNEL), "gradient"),
    (NoiseScaleFromTheParameters(0.6), "scalars"),
    (PythonWeight(KERNEL), "one_trace"),
    (WeakCounter(KERNEL, 8), "stored"),
    (OwnRandomness(0.6), "jit|key"),
    (KeepsKernelStates(KERNEL, 8), "no_cache"),
    (GradientThroughTheChains(KERNEL), "optimum"),
    (NoiseCountedTwice(0.6), "optimum"),
    (OtherValuesOnly(), "optimum"),
    (ForgetsTheData(), "optimum"),
    (NotCentred(), "optimum"),
    (FlowsBackwards(), "optimum"),
    (OneRatioTwice(), "optimum"),
    (EnergyDiscrepancy(MoreUpThanDown(0.5), 4), "optimum"),
    (SwappedSign(KERNEL), "descent"),
]


@pytest.mark.parametrize(("objective", "clause"), MUTANTS, ids=[type(o).__name__ for o, _ in MUTANTS])
def test_a_broken_promise_is_seen(objective, clause, key):
    draw_key, check_key = jax.random.split(key)
    if isinstance(objective, DenoisingScoreMatching):
        mean = jnp.array([0.5, -1.0])
        energy, draws = Gaussian(mean), mean + 0.8 * jax.random.normal(draw_key, (8_000, 2))
    else:
        discrete = isinstance(objective, AbstractSiteObjective | EnergyDiscrepancy)
        reference = references.asymmetric_ising() if discrete else references.correlated_gaussian()
        energy, draws = reference.energy, reference.draw(key=draw_key, num=16_000)
    exact = draws if clause in ("optimum", "descent") else None
    with pytest.raises(AssertionError, match=f"breaks `({clause})`"):
        testing.check_objective(objective, energy, draws, exact_draws=exact, clauses=clause.split("|"), key=check_key)


def test_the_objectives_that_the_mutants_are_made_of_are_right(key):
    """With the same kernel, energy and number of draws the contract holds."""
    draw_key, check_key = jax.random.split(key)
    reference = references.correlated_gaussian()
    draws = reference.draw(key=draw_key, num=16_000)
    objective = PersistentCD(KERNEL, 8)
    assert eqx.tree_equal(objective.kernel, KERNEL)
    testing.check_objective(objective, reference.energy, draws, exact_draws=draws, key=check_key)
