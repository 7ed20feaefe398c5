"""Kernels with one planted defect each, caught by the assertions that pass for the right kernels."""

from types import SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import testing
from energax.densities import Gaussian, IndependentSites
from energax.energies import blocks, conditional_logits_at
from energax.kernels import (
    ACS,
    DMALA,
    HMC,
    MALA,
    MCLMC,
    NUTS,
    AbstractStepSizeKernel,
    AdjustedMCLMC,
    BlockGibbs,
    Cycle,
    GibbsWithGradients,
    HeatBath,
    IndependenceMetropolis,
    Metropolis,
    OnPart,
    RandomWalk,
    StepInfo,
    UnderdampedLangevin,
)
from energax.kernels._block_gibbs import BlockGibbsState
from energax.kernels._compose import ComposedState
from energax.kernels._heat_bath import HeatBathState, SiteProposal
from energax.kernels._langevin import LangevinState, fold_state, langevin_state
from energax.kernels._metropolis import metropolis, select
from energax.kernels._rwm import NormalProposal, RandomWalkState
from energax.kernels._site_metropolis import MetropolisLaw
from energax.spaces import Categorical
from energax.testing import references
from energax.testing._exact_start import last_of_chains

# -- defects of the law -----------------------------------------------------------------------------------------------


class NoProposalRatio(MALA):
    def log_ratio(self, old, new):
        return old.value - new.value


class ForwardProposalTwice(MALA):
    def log_ratio(self, old, new):
        forward = self.proposal(old).log_prob(new.x)
        return old.value - new.value + forward - forward


class ScaledNoise(NormalProposal):
    """Draws with another scale than the one that `log_prob` knows of."""

    times: float = eqx.field(static=True, default=1.0)

    def draw(self, *, key):
        return NormalProposal(self.mean, self.times * self.scale).draw(key=key)


class HalvedNoise(MALA):
    def proposal(self, state):
        law = MALA(self.step_size).proposal(state)
        return ScaledNoise(law.mean, law.scale, times=0.5)


class NoiseTenPerCentTooLarge(MALA):
    def proposal(self, state):
        law = MALA(self.step_size).proposal(state)
        return ScaledNoise(law.mean, law.scale, times=1.1)


class UnscaledDensity(NormalProposal):
    """Draws with the preconditioner, but `log_prob` forgets it."""

    def log_prob(self, y):
        return NormalProposal(self.mean, self.scale).log_prob(y)


class HalfPreconditioned(MALA):
    def proposal(self, state):
        law = MALA(self.step_size, self.preconditioner).proposal(state)
        return UnscaledDensity(law.mean, law.scale, law.factor)


class NoProposalDensity(IndependenceMetropolis):
    def log_ratio(self, old, new):
        return old.value - new.value


class NoiseOfTwiceTheTime(UnderdampedLangevin):
    def _rubbed(self, p, noise, share):
        exponent = share * self.friction * self.step_size
        return jnp.exp(-exponent) * p + jnp.sqrt(1 - jnp.exp(-4 * exponent)) * noise


class OneKick(UnderdampedLangevin):
    """Symplectic Euler: the second half of the kick is forgotten."""

    def move(self, energy, state, noises):
        p = self._rubbed(self._kicked(state.momentum, state.score), noises[0], 0.5)
        there = langevin_state(energy, self._drifted(state.x, p, 1.0))
        return type(state)(there.x, there.value, there.score, self._rubbed(p, noises[1], 0.5))


class AlwaysAccepts(AdjustedMCLMC):
    def step(self, energy, state, *, key):
        there, info = MCLMC(self.step_size, 1e9).step(energy, MCLMC(0.1, 1.0).init(energy, state.x, key=key), key=key)
        return langevin_state(energy, there.x), info


class EnergyForLogDensity(NUTS):
    """The sign of the first configuration's weight in the trajectory is wrong."""

    def step(self, energy, state, *, key):
        turned = eqx.tree_at(lambda s: s.value, state, -state.value)
        new, info = NUTS(self.step_size, self.preconditioner, self.max_doublings).step(energy, turned, key=key)
        return select(info.accepted, new, state), info


class SwappedSign(RandomWalk):
    def step(self, energy, state, *, key):
        draw_key, accept_key = jax.random.split(key)
        y = energy.space.fold(self.proposal(state.x).draw(key=draw_key))
        info = metropolis(energy(y) - state.value, energy(y), key=accept_key)
        return select(info.accepted, RandomWalkState(y, energy(y)), state), info


class ValueOfTheFirstConfiguration(RandomWalk):
    """A stale cache: the energy in the state is never replaced."""

    def step(self, energy, state, *, key):
        new, info = RandomWalk(self.step_size).step(energy, state, key=key)
        return RandomWalkState(new.x, state.value), info


class CutOffAtTheWalls(RandomWalk):
    def step(self, energy, state, *, key):
        draw_key, accept_key = jax.random.split(key)
        y = jnp.clip(self.proposal(state.x).draw(key=draw_key), energy.space.lower, energy.space.upper)
        info = metropolis(state.value - energy(y), energy(y), key=accept_key)
        return select(info.accepted, RandomWalkState(y, energy(y)), state), info


class NoMomentumTerm(HMC):
    def step(self, energy, state, *, key):
        momentum_key, accept_key = jax.random.split(key)
        new, _ = self.trajectory(energy, state, jax.random.normal(momentum_key, state.x.shape))
        info = metropolis(state.value - new.value, new.value, key=accept_key)
        return select(info.accepted, new, state), info


class KineticEnergyOfTheVelocity(HMC):
    """½‖Lp‖² instead of ½‖p‖²: the coordinates of the momentum and of its energy are mixed up."""

    def step(self, energy, state, *, key):
        momentum_key, accept_key = jax.random.split(key)
        p = jax.random.normal(momentum_key, state.x.shape)
        new, p_new = self.trajectory(energy, state, p)
        kinetic = [0.5 * jnp.sum((self.preconditioner * q) ** 2) for q in (p, p_new)]
        info = metropolis(state.value - new.value + kinetic[0] - kinetic[1], new.value, key=accept_key)
        return select(info.accepted, new, state), info


class WholeFirstKick(HMC):
    """Symplectic Euler instead of leapfrog: preserves volume, but is not reversible."""

    def trajectory(self, energy, state, momentum):
        def one(_, carry):
            here, p = carry
            p = p + self.step_size * here.score
            return langevin_state(energy, here.x + self.step_size * p), p

        return jax.lax.fori_loop(0, self.num_leapfrog, one, (state, momentum))


class LastSiteForgotten(HeatBath):
    """Off by one: leaves the law invariant, so that only the transitions themselves tell."""

    def step(self, energy, state, *, key):
        def update(site, x):
            value = self.proposal(energy, x, site).draw(key=jax.random.fold_in(key, site))
            return x.reshape(-1).at[site].set(value.astype(x.dtype)).reshape(x.shape)

        x = jax.lax.fori_loop(0, state.x.size - 1, update, state.x)
        return HeatBathState(x), StepInfo.unless_nan(jnp.ones((), bool))


class OneKeyForAllSites(HeatBath):
    def step(self, energy, state, *, key):
        def update(site, x):
            value = self.proposal(energy, x, site).draw(key=key)
            return x.reshape(-1).at[site].set(value.astype(x.dtype)).reshape(x.shape)

        return HeatBathState(jax.lax.fori_loop(0, state.x.size, update, state.x)), StepInfo.unless_nan(
            jnp.ones((), bool)
        )


class StaleHidden(BlockGibbs):
    """The visible units are drawn given the hidden ones of the step before, which at first are none at all."""

    def step(self, energy, state, *, key):
        new, info = BlockGibbs().step(energy, state, key=key)
        whole = {"visible": state.x, **state.hidden}
        law = self.proposals(energy, whole, blocks(energy)[1])["visible"]
        return BlockGibbsState(law.draw(state.x, key=jax.random.fold_in(key, 1)), new.hidden), info


class AllColoursAtOnce(BlockGibbs):
    def step(self, energy, state, *, key):
        x = state.x
        for block in blocks(energy):
            law = self.proposals(energy, state.x, block)[None]
            x = law.draw(x, key=jax.random.fold_in(key, jnp.sum(block.mask)))
        return BlockGibbsState(x, None), StepInfo.unless_nan(jnp.ones((), bool))


class ColdVisible(BlockGibbs):
    """The conditional law of the visible units has twice the logits."""

    def proposals(self, energy, whole, block):
        laws = BlockGibbs().proposals(energy, whole, block)
        return {n: eqx.tree_at(lambda p: p.logits, p, p.logits * (2 if n == "visible" else 1)) for n, p in laws.items()}


def _natural(law):
    return law.precision, law.linear


def _squared(law):
    """The law with the same means whose standard deviations are the variances of this one."""
    return law.precision**2, law.linear * law.precision


class VarianceForScale(BlockGibbs):
    """Real visible units are drawn with their variances for standard deviations."""

    def proposals(self, energy, whole, block):
        laws = BlockGibbs().proposals(energy, whole, block)
        return {n: eqx.tree_at(_natural, law, _squared(law)) if n == "visible" else law for n, law in laws.items()}


class AnyValue(HeatBath):
    """Sites may take values that their space does not allow them."""

    def proposal(self, energy, x, site):
        return SiteProposal(energy.space, conditional_logits_at(energy, x, site))


def uneven_sites():
    space = Categorical(3, num_categories=3, counts=(3, 2, 3))
    return SimpleNamespace(energy=IndependentSites(space, jnp.asarray(np.sin(np.arange(9.0)).reshape(3, 3))))


class KeepsStaleCaches(Cycle):
    """The second kernel begins where the first one ended, with the energy and score of where it was itself."""

    def step(self, energy, state, *, key):
        x, states = state.x, []
        for i, (kernel, own) in enumerate(zip(self.kernels, state.states, strict=True)):
            own, info = kernel.step(energy, eqx.tree_at(lambda s: s.x, own, x), key=jax.random.fold_in(key, i))
            x = own.x
            states.append(own)
        return ComposedState(x, tuple(states)), info


class OldValueToo(MetropolisLaw):
    """The draw proposes the old value as well, which `log_prob` does not know of."""

    def draw(self, old, *, key):
        stay_key, key = jax.random.split(key)
        new = MetropolisLaw(self.space, self.logits, self.old, self.mask).draw(old, key=key)
        return jnp.where(jax.random.bernoulli(stay_key, 1 / len(self.space.values), new.shape), old, new)


class ProposesTheOldValue(Metropolis):
    def proposal(self, energy, x, site):
        law = Metropolis().proposal(energy, x, site)
        return OldValueToo(law.space, law.logits, law.old)


class HalfTheLogits(Metropolis):
    """Half the logits: the right law at twice the temperature."""

    def proposals(self, energy, whole, block):
        laws = Metropolis("blocks").proposals(energy, whole, block)
        return {n: eqx.tree_at(lambda p: p.logits, p, p.logits / 2) for n, p in laws.items()}


class NeverWeighed(GibbsWithGradients):
    """The law of the way back is forgotten."""

    def log_ratio(self, energy, old, new):
        return old.value - new.value


class WholeDifference(GibbsWithGradients):
    """The draw has exp(−ΔE) where `log_prob`, and so the acceptance, has exp(−½ ΔE)."""

    def step(self, energy, state, *, key):
        sharp = eqx.tree_at(lambda s: s.changes, state, 2 * state.changes)
        draw_key, accept_key = jax.random.split(key)
        new = self.init(energy, self.proposal(energy, sharp).draw(key=draw_key), key=key)
        info = metropolis(self.log_ratio(energy, state, new), new.value, key=accept_key)
        return select(info.accepted, new, state), info


class StepSizeOfOneDirection(DMALA):
    """The way back is weighed with another step size."""

    def log_ratio(self, energy, old, new):
        back = DMALA(2 * self.step_size).proposal(energy, new).log_prob(old.x)
        return old.value - new.value + back - self.proposal(energy, old).log_prob(new.x)


class BackByTheNextMove(ACS):
    """The way back is weighed with the balance of another move."""

    def move(self, step_size, balance):
        return AnotherBalanceBack(step_size, self.differences, balance)


class AnotherBalanceBack(DMALA):
    def log_ratio(self, energy, old, new):
        back = DMALA(self.step_size, balance=1.4 - self.balance).proposal(energy, new).log_prob(old.x)
        return old.value - new.value + back - self.proposal(energy, old).log_prob(new.x)


class StaleChanges(DMALA):
    """The differences in the state are those of the first configuration."""

    def step(self, energy, state, *, key):
        new, info = DMALA(self.step_size).step(energy, state, key=key)
        return eqx.tree_at(lambda s: s.changes, new, state.changes), info


def exact_start(kernel, reference, key):
    testing.assert_exact_start(kernel, reference, key=key)


def transitions(kernel, reference, key):
    testing.assert_transitions(kernel, reference.energy, start=5, key=key)


def matrix(kernel, reference, key):
    testing.assert_invariant(kernel, reference.energy)


def balance(kernel, reference, key):
    testing.assert_detailed_balance(kernel, reference.energy, *jax.random.normal(key, (2, 50, 2)))


def variance_of_obabo(kernel, reference, key):
    draw_key, step_key = jax.random.split(key)
    stated = 1 / (1 - 0.8**2 / 4)
    x = np.sqrt(stated) * jax.random.normal(draw_key, (20_000, 1))
    ends = last_of_chains(kernel, Gaussian(jnp.zeros(1)), x, jax.random.split(step_key, 20_000), 10)
    testing.assert_mean(np.asarray(ends) ** 2, [stated])


PARTS = (OnPart(RandomWalk(0.8), "place"), OnPart(HeatBath(), "spin"))
WRONG_LAW = [
    (NoProposalRatio(0.25), references.skewed_mixture, exact_start),
    (NoProposalRatio(0.25), references.skewed_mixture, balance),
    (ForwardProposalTwice(0.25), references.skewed_mixture, balance),
    (HalvedNoise(0.25), references.skewed_mixture, exact_start),
    (NoiseTenPerCentTooLarge(0.25), references.correlated_gaussian, exact_start),
    (HalfPreconditioned(0.4, [0.4, 1.0, 2.0]), references.correlated_gaussian, exact_start),
    (NoProposalDensity(Gaussian(jnp.zeros(2), 2.0)), references.skewed_mixture, exact_start),
    (NoiseOfTwiceTheTime(0.8, scheme="obabo"), references.correlated_gaussian, variance_of_obabo),
    (OneKick(0.8, scheme="obabo"), references.correlated_gaussian, variance_of_obabo),
    (AlwaysAccepts(2.5, 2.5), references.skewed_mixture, exact_start),
    (EnergyForLogDensity(0.4, max_doublings=3), references.skewed_mixture, exact_start),
    (SwappedSign(0.8), references.tilted_double_well, exact_start),
    (ValueOfTheFirstConfiguration(0.8), references.tilted_double_well, exact_start),
    (CutOffAtTheWalls(0.8), references.tilted_box, exact_start),
    (NoMomentumTerm(0.35, num_leapfrog=4), references.tilted_double_well, exact_start),
    (KineticEnergyOfTheVelocity(0.8, 3, [0.4, 1.0, 2.0]), references.correlated_gaussian, exact_start),
    (WholeFirstKick(0.35, num_leapfrog=4), references.tilted_double_well, exact_start),
    (LastSiteForgotten(), references.skewed_categorical, transitions),
    (OneKeyForAllSites(), references.asymmetric_ising, exact_start),
    (StaleHidden(), references.asymmetric_rbm, transitions),
    (NeverWeighed(), references.skewed_categorical, matrix),
    (NeverWeighed(), references.asymmetric_ising, exact_start),
    (WholeDifference(), references.asymmetric_ising, exact_start),
    (StepSizeOfOneDirection(0.5), references.asymmetric_ising, matrix),
    (BackByTheNextMove([3.0, 0.5], [0.9, 0.5]), references.asymmetric_ising, matrix),
    (BackByTheNextMove([3.0, 0.5], [0.9, 0.5]), references.asymmetric_ising, exact_start),
    (StaleChanges(1.5), references.asymmetric_ising, exact_start),
    (ProposesTheOldValue(), references.skewed_categorical, transitions),
    (HalfTheLogits("blocks"), references.asymmetric_rbm, matrix),
    (HalfTheLogits("blocks"), references.asymmetric_ising, exact_start),
    (AllColoursAtOnce(), references.asymmetric_ising, exact_start),
    (ColdVisible(), references.asymmetric_rbm, matrix),
    (ColdVisible(), references.asymmetric_rbm, exact_start),
    (VarianceForScale(), references.asymmetric_gaussian_rbm, exact_start),
    (AnyValue(), uneven_sites, matrix),
    (KeepsStaleCaches(PARTS), references.spins_and_normals, exact_start),
]


@pytest.mark.parametrize(
    ("kernel", "make", "check"), WRONG_LAW, ids=[f"{type(k).__name__}-{c.__name__}" for k, _, c in WRONG_LAW]
)
def test_a_wrong_law_is_seen(kernel, make, check, key):
    with pytest.raises(AssertionError, match=r"smallest visible|allowed|probability zero|sums to"):
        check(kernel, make(), key)


# -- broken promises: one for each clause of the contract ------------------------------------------------------------


class Declares(MALA):
    @property
    def needs(self):
        return {"score"}


class Normalises(MALA):
    """`init` moves the configuration."""

    def init(self, energy, x, *, key):
        return langevin_state(energy, 0.5 * x)


class LooksAtTracers(MALA):
    def step(self, energy, state, *, key):
        size = self.step_size if isinstance(key, jax.core.Tracer) else 2 * self.step_size
        return MALA(size).step(energy, state, key=key)


@jax.custom_batching.custom_vmap
def _twice_in_batches(x):
    return x


@_twice_in_batches.def_vmap
def _(axis_size, in_batched, x):
    return 2 * x, in_batched[0]


class BatchDependent(MALA):
    def step(self, energy, state, *, key):
        new, info = MALA(self.step_size).step(energy, state, key=key)
        return eqx.tree_at(lambda s: s.x, new, _twice_in_batches(new.x)), info


class StaticStepSize(AbstractStepSizeKernel):
    """A step size that is no leaf, so that a new one compiles anew."""

    step_size: float = eqx.field(static=True, default=0.1)
    exact = needs = target_accept_prob = None  # replaced below

    def init(self, energy, x, *, key):
        return langevin_state(energy, x)

    def refresh(self, energy, state):
        return langevin_state(energy, state.x)

    def step(self, energy, state, *, key):
        return MALA(self.step_size).step(energy, state, key=key)

    def with_step_size(self, step_size):
        return StaticStepSize(float(step_size))


for _name in ("exact", "needs", "target_accept_prob"):
    setattr(StaticStepSize, _name, getattr(MALA, _name))
StaticStepSize.__abstractmethods__ = frozenset()


class AlwaysDouble(MALA):
    def step(self, energy, state, *, key):
        new, info = MALA(self.step_size).step(energy, state, key=key)
        return eqx.tree_at(lambda s: s.x, new, new.x * jnp.ones((), jnp.result_type(float))), info


class ForgetsToRefresh(MALA):
    def refresh(self, energy, state):
        return state


class OwnRandomness(MALA):
    def step(self, energy, state, *, key):
        return MALA(self.step_size).step(energy, state, key=jax.random.key(np.random.default_rng().integers(2**31)))


class IgnoresItsKey(MALA):
    def step(self, energy, state, *, key):
        return MALA(self.step_size).step(energy, state, key=jax.random.key(0))


class MovesWhenRejected(MALA):
    def step(self, energy, state, *, key):
        new, info = MALA(self.step_size).step(energy, state, key=key)
        return eqx.tree_at(lambda s: s.x, new, new.x + 1e-6), info


class StaysInTheCoveringSpace(MALA):
    def step(self, energy, state, *, key):
        new = langevin_state(energy, self.proposal(state).draw(key=key))
        info = metropolis(self.log_ratio(state, new), new.value, key=key)
        return select(info.accepted, new, state), info


class AcceptsNaN(MALA):
    def step(self, energy, state, *, key):
        new = langevin_state(energy, self.proposal(state).draw(key=key))
        info = metropolis(jnp.nan_to_num(self.log_ratio(state, new)), jnp.nan_to_num(new.value), key=key)
        return select(info.accepted, fold_state(energy, new), state), info


class CountsNothing(MALA):
    def step(self, energy, state, *, key):
        new, info = MALA(self.step_size).step(energy, state, key=key)
        return new, StepInfo(info.accept_prob, info.accepted, jnp.ones((), bool))


class TextState(LangevinState):
    note: object = None


class TextInState(MALA):
    def init(self, energy, x, *, key):
        state = langevin_state(energy, x)
        return TextState(state.x, state.value, state.score, "a leaf")


class CountingState(LangevinState):
    count: object = None


class WeakCounter(MALA):
    """A leaf of weak type, which no file keeps: a restored state compiles anew."""

    def init(self, energy, x, *, key):
        state = langevin_state(energy, x)
        return CountingState(state.x, state.value, state.score, jnp.add(0.0, 1.0))

    def refresh(self, energy, state):
        new = langevin_state(energy, state.x)
        return CountingState(new.x, new.value, new.score, state.count)

    def step(self, energy, state, *, key):
        new, info = MALA(self.step_size).step(energy, LangevinState(state.x, state.value, state.score), key=key)
        return CountingState(new.x, new.value, new.score, state.count + 1.0), info


class ClaimsToBeExact(MALA):
    """Stays in the support and counts what it must, but never weighs a move: the law of ULA under another name."""

    def step(self, energy, state, *, key):
        new = langevin_state(energy, self.proposal(state).draw(key=key))
        inside = jnp.isfinite(new.value)
        info = StepInfo(inside.astype(float), inside, inside | (new.value == jnp.inf))
        return select(inside, fold_state(energy, new), state), info


BROKEN_PROMISES = [
    (Declares(0.1), "declarations"),
    (Normalises(0.1), "state"),
    (TextInState(0.1), "state"),
    (LooksAtTracers(0.1), "jit"),
    (BatchDependent(0.1), "vmap"),
    (StaticStepSize(0.1), "one_trace"),
    (AlwaysDouble(0.1), "dtypes"),
    (ForgetsToRefresh(0.1), "refresh"),
    (OwnRandomness(0.1), "jit|keys"),
    (IgnoresItsKey(0.1), "keys"),
    (MovesWhenRejected(0.1), "info"),
    (StaysInTheCoveringSpace(0.5), "inside"),
    (AcceptsNaN(0.1), "nonfinite"),
    (CountsNothing(0.1), "nonfinite"),
    (WeakCounter(0.1), "stored"),
    (ClaimsToBeExact(0.5), "exact_start"),
]


@pytest.mark.parametrize(("kernel", "clause"), BROKEN_PROMISES, ids=[type(k).__name__ for k, _ in BROKEN_PROMISES])
def test_a_broken_promise_is_seen(kernel, clause, key):
    box = references.tilted_box()
    draw_key, check_key = jax.random.split(key)
    draws = box.draw(key=draw_key, num=8_000) if clause == "exact_start" else None
    with pytest.raises(AssertionError, match=f"breaks `({clause})`"):
        testing.check_kernel(kernel, box.energy, exact_draws=draws, key=check_key)
