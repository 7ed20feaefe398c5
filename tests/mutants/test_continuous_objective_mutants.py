"""Objectives of continuous data, with one planted defect each, caught by the contract."""

import jax
import jax.numpy as jnp
import pytest

from energax import testing
from energax.densities import AbstractDensity, Gaussian
from energax.energies import AbstractConditionalEnergy, AbstractEnergy, AtLevel, Tempered, at_level
from energax.kernels import MALA, ULA
from energax.objectives import (
    AdversarialLikelihood,
    AtTemperature,
    ConditionalNoiseContrastive,
    ContrastiveDivergence,
    DataNoise,
    DenoisingScoreMatching,
    FiniteDifferenceScoreMatching,
    FlowAssisted,
    FlowContrastive,
    KernelStein,
    MultiScaleDenoising,
    NoiseContrastive,
    RankingNCE,
    RecoveryLikelihood,
    ScoreMatching,
    ShortRun,
    SlicedScoreMatching,
    companions,
)
from energax.objectives._stein import stein_kernel
from energax.testing import references

NOISE = Gaussian(jnp.array([0.8, -0.4, 0.1]), jnp.array([0.8, 1.2, 2.5]))


class OneFixedDirection(ScoreMatching):
    """Second derivatives along (1, ..., 1) only, which is no trace where coordinates are correlated."""

    def loss(self, energy, batch, state, *, key):
        def one(x):
            slope, curvature = jax.jvp(jax.grad(energy), (x,), (jnp.ones_like(x),))
            return 0.5 * jnp.sum(slope**2) - jnp.sum(curvature)

        return jnp.mean(jax.vmap(one)(batch)), (state, {})


class HalfTheSecondDifference(FiniteDifferenceScoreMatching):
    def loss(self, energy, batch, state, *, key):
        loss, (state, metrics) = FiniteDifferenceScoreMatching(self.spacing).loss(energy, batch, state, key=key)
        return loss + 0.5 * metrics["laplacian"], (state, metrics)


class NormalisedDirections(SlicedScoreMatching):
    """Directions of length 1, and the factor d forgotten."""

    def loss(self, energy, batch, state, *, key):
        loss, (state, metrics) = SlicedScoreMatching().loss(energy, batch, state, key=key)
        return loss + (1 - 1 / batch.shape[1]) * metrics["laplacian"], (state, metrics)


class OneEnergyForAllLevels(MultiScaleDenoising):
    """Asks the energy of one level for the slopes of all of them."""

    def loss(self, energy, batch, state, *, key):
        losses = [
            DenoisingScoreMatching(sigma).loss(at_level(energy, self.noise_scales[0]), batch, state, key=key)[0]
            for sigma in self.noise_scales
        ]
        return sum(losses) / len(losses), (state, {})


class SmearedNormal(AbstractConditionalEnergy):
    variance: jax.Array

    def given(self, c):
        return Gaussian(jnp.zeros(3), self.variance + c**2)


class NoiseRatioForgotten(NoiseContrastive):
    """Classifies two draws of noise for each row as if there were one: log Z is off by log 2."""

    def loss(self, energy, batch, state, *, key):
        noise = jax.vmap(lambda k: self.noise.draw(key=k))(jax.random.split(key, 2 * len(batch)))
        of_data, of_noise = (
            jax.vmap(lambda x: self.noise(x) - energy(x) - self.log_z)(rows) for rows in (batch, noise)
        )
        loss = jnp.mean(jax.nn.softplus(-of_data)) + 2 * jnp.mean(jax.nn.softplus(of_noise))
        return loss, (state, {})


class NoLogZ(NoiseContrastive):
    """Its companion is not used."""

    def loss(self, energy, batch, state, *, key):
        fixed = NoiseContrastive(self.noise)
        return fixed.loss(energy, batch, state, key=key)


class DensityOfTheNoiseForgotten(RankingNCE):
    def loss(self, energy, batch, state, *, key):
        flat = Flattened(energy, self.noise)
        return RankingNCE(self.noise, num_noise=self.num_noise).loss(flat, batch, state, key=key)


class Flattened(AbstractEnergy):
    """E − log q, which takes the density of the noise out of a score again."""

    energy: Gaussian
    noise: Gaussian

    @property
    def space(self):
        return self.energy.space

    def __call__(self, x):
        return self.energy(x) - self.noise.log_prob(x)


class LopsidedCopies(ConditionalNoiseContrastive):
    """Copies that are drawn towards 0, with noise whose density does not drop out."""

    def loss(self, energy, batch, state, *, key):
        noisy = 0.8 * batch + self.noise_scale * jax.random.normal(key, batch.shape)
        rises = jax.vmap(energy)(noisy) - jax.vmap(energy)(batch)
        return 2 * jnp.mean(jax.nn.softplus(-rises)), (state, {})


class EntropyForgotten(AdversarialLikelihood):
    def loss(self, energy, batch, state, *, key):
        loss, (state, metrics) = AdversarialLikelihood(self.generator).loss(energy, batch, state, key=key)
        return loss - metrics["entropy"], (state, metrics)


class PairsOfEqualRows(KernelStein):
    """The mean over all pairs, those of a row with itself included."""

    def loss(self, energy, batch, state, *, key):
        scores = -jax.vmap(jax.grad(energy))(batch)
        return jnp.mean(stein_kernel(batch, scores, state)), (state, {})


class UnevenGame(FlowContrastive):
    """The draws of the flow counted twice."""

    def loss(self, energy, batch, state, *, key):
        noise = jax.vmap(lambda k: self.flow.draw(key=k))(jax.random.split(key, len(batch)))
        logits = jax.vmap(lambda x: -energy(x) - self.log_z - self.flow.log_prob(x))
        loss = jnp.mean(jax.nn.softplus(-logits(batch))) + 2 * jnp.mean(jax.nn.softplus(logits(noise)))
        return loss, (state, {})


class TwiceTheTemperature(AtTemperature):
    """Tempers the energy that is tempered already."""

    def loss(self, energy, batch, state, *, key):
        return self.objective.loss(Tempered(energy, self.beta**2), batch, state, key=key)


class UnfinishedNoise(DataNoise):
    """Noise that is not centred."""

    def loss(self, energy, batch, state, *, key):
        noisy = batch + self.scale * jnp.abs(jax.random.normal(key, batch.shape))
        return self.objective.loss(energy, noisy, state, key=key)


class StartsAtTheData(ShortRun):
    """Chains of the same length from the rows: contrastive divergence."""

    def loss(self, energy, batch, state, *, key):
        return ContrastiveDivergence(self.kernel, self.num_steps).loss(energy, batch, state, key=key)


SHORT = StartsAtTheData(ULA(0.2), 16, 2, start=Gaussian(jnp.zeros(3)))


class NoDensity(AbstractDensity):
    """Draws of a law, all of which count the same."""

    law: Gaussian

    @property
    def space(self):
        return self.law.space

    def log_prob(self, x):
        return jnp.zeros(())

    def draw(self, *, key):
        return self.law.draw(key=key)


class JumpsAreNotWeighed(FlowAssisted):
    """Accepts proposals by their energies alone."""

    def loss(self, energy, batch, state, *, key):
        plain = FlowAssisted(self.kernel, NoDensity(self.flow), num_chains=self.num_chains, num_jumps=4)
        return plain.loss(energy, batch, state, key=key)


class TwiceTheNoise(RecoveryLikelihood):
    """Looks for the rows further away than they are."""

    def _recovered(self, energy, sigma, gap, noisy, begin, *, key):
        right = RecoveryLikelihood(self.noise_scales, self.kernel, self.num_steps)
        return right._recovered(energy, sigma, 2 * gap, noisy, begin / 2, key=key)


MUTANTS = [
    (JumpsAreNotWeighed(MALA(0.3), NOISE, num_chains=8), "optimum"),
    (TwiceTheNoise((0.3, 0.9), MALA(0.3), 3, start="data"), "optimum"),
    (SHORT, "optimum"),
    (OneFixedDirection(), "optimum"),
    (HalfTheSecondDifference(0.3), "optimum"),
    (NormalisedDirections(), "optimum"),
    (OneEnergyForAllLevels((0.3, 0.9)), "optimum"),
    (NoiseRatioForgotten(NOISE), "companions|optimum"),
    (NoLogZ(NOISE), "companions"),
    (DensityOfTheNoiseForgotten(NOISE), "optimum"),
    (LopsidedCopies(0.5), "optimum"),
    (EntropyForgotten(references.correlated_gaussian().energy), "companions"),
    (PairsOfEqualRows(1.5), "optimum"),
    (TwiceTheTemperature(ScoreMatching(), 2.0), "optimum"),
    (UnfinishedNoise(ScoreMatching(), 0.6), "optimum"),
    (UnevenGame(references.correlated_gaussian().energy), "companions"),
]


@pytest.mark.parametrize(("objective", "clause"), MUTANTS, ids=[type(o).__name__ for o, _ in MUTANTS])
def test_a_broken_promise_is_seen(objective, clause, key):
    draw_key, check_key = jax.random.split(key)
    reference = references.correlated_gaussian()
    energy, draws = reference.energy, reference.draw(key=draw_key, num=16_000)
    if isinstance(objective, MultiScaleDenoising | RecoveryLikelihood):
        energy, draws = AtLevel(SmearedNormal(jnp.ones(3)), 0.3), jax.random.normal(draw_key, (16_000, 3))
    if isinstance(objective, ShortRun):
        draws = objective.generate(energy, 16_000, key=draw_key)
    if isinstance(objective, AtTemperature):
        energy, draws = Gaussian(jnp.zeros(3), 2.0), jax.random.normal(draw_key, (16_000, 3))
    if isinstance(objective, DataNoise):
        energy, draws = Gaussian(jnp.zeros(3)), 0.8 * jax.random.normal(draw_key, (16_000, 3))
    with pytest.raises(AssertionError, match=f"breaks `({clause})`"):
        testing.check_objective(
            objective,
            energy,
            draws,
            exact_draws=draws,
            shift_invariant="log_z" not in companions(objective),
            clauses=clause.split("|"),
            key=check_key,
        )
