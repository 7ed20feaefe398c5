"""The driver of many chains: what it stores, what it promises about keys, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import densities, energies, kernels, sampling, spaces
from energax._errors import ArgumentError, Diverged, KernelMismatch, SpaceError
from energax.kernels import HMC, MALA, ULA, BlockGibbs, HeatBath, RandomWalk
from energax.sampling import Mean, StepSizeAdaptation
from energax.testing import references

WELL = energies.DoubleWell(2, barrier=2.0, tilt=0.5)


@pytest.fixture(scope="module")
def long_run():
    """8 chains of 200 steps, all of them stored."""
    return sampling.sample(WELL, RandomWalk(0.5), num_chains=8, num_steps=200, key=jax.random.key(3))


def same(a, b) -> bool:
    return np.array_equal(np.asarray(a), np.asarray(b))


# -- what is stored ---------------------------------------------------------------------------------------------------


def test_stored_axes_and_energies(long_run):
    assert long_run.x.shape == (8, 200, 2)
    assert (long_run.num_chains, long_run.num_draws) == (8, 200)
    assert same(long_run.last, long_run.x[:, -1])
    energy = jax.vmap(jax.vmap(WELL))(jnp.asarray(long_run.x))
    np.testing.assert_allclose(long_run.energy, energy, rtol=1e-5, atol=1e-6)
    assert long_run.result == "successful"
    assert long_run.settings["kernel"] == "RandomWalk"
    assert not long_run.num_nonfinite.any()
    moved = np.any(np.diff(long_run.x, axis=1) != 0, axis=-1).mean(axis=1)
    np.testing.assert_allclose(long_run.accept_prob, moved, atol=0.15)


def test_summary_and_repr(long_run):
    summary = long_run.summary()
    assert summary["num_draws"] == 200
    assert summary["energy_mean"] == pytest.approx(long_run.energy.mean())
    assert {"r_hat", "ess", "tau", "accept_prob", "energy_stderr"} <= set(summary)
    assert "8 chains × 200 draws" in repr(long_run)
    short = sampling.sample(WELL, RandomWalk(0.5), num_chains=2, num_steps=2, key=jax.random.key(0))
    assert "r_hat" not in short.summary()


def test_to_arviz_names_chains_and_draws(long_run):
    pytest.importorskip("arviz_base")
    tree = long_run.to_arviz()
    assert tree["posterior"]["x"].dims[:2] == ("chain", "draw")
    assert tree["posterior"]["x"].shape == (8, 200, 2)
    assert tree["sample_stats"]["energy"].shape == (8, 200)


def test_thinning_keeps_every_third_draw(long_run):
    thinned = sampling.sample(WELL, RandomWalk(0.5), num_chains=8, num_steps=198, thin=3, key=jax.random.key(3))
    assert same(thinned.x, long_run.x[:, 2:198:3])
    np.testing.assert_allclose(thinned.accept_prob, long_run.accept_prob, atol=0.02)


def test_warm_up_is_not_stored_and_moves_the_chains():
    x0 = jnp.full((8, 2), 5.0)
    options = {"num_steps": 2, "key": jax.random.key(0)}
    cold = sampling.sample(WELL, RandomWalk(0.5), x0, **options)
    warm = sampling.sample(WELL, RandomWalk(0.5), x0, num_warmup=300, **options)
    assert warm.x.shape == cold.x.shape == (8, 2, 2)
    assert cold.energy.min() > 100 > warm.energy.max()
    assert warm.settings["num_warmup"] == 300


def test_only_what_is_asked_for_is_saved():
    key = jax.random.key(3)
    first = sampling.sample(WELL, RandomWalk(0.5), num_chains=8, num_steps=20, key=key, save=_first)
    assert {name: leaf.shape for name, leaf in first.x.items()} == {"first": (8, 20), "positive": (8, 20, 2)}
    nothing = sampling.sample(WELL, RandomWalk(0.5), num_chains=8, num_steps=20, key=key, save=None)
    assert nothing.x is None
    assert same(nothing.energy, first.energy)


def _first(x):
    return {"first": x[0], "positive": x > 0}


def test_accumulators_equal_the_stored_draws():
    """Also where the draws are 10⁵ times as large as their spread: the sum is compensated."""
    accumulators = {"x": Mean(), "far": Mean(_far)}
    run = sampling.sample(
        WELL, RandomWalk(0.5), num_chains=8, num_steps=3000, accumulators=accumulators, save=_far, key=jax.random.key(3)
    )
    far = run.x.astype(np.float64).mean(axis=1)
    # One unit in the last place of the mean is 0.008; without compensation the error is about 0.3.
    np.testing.assert_allclose(run.accumulated["far"], far, atol=2e-2)
    np.testing.assert_allclose(run.accumulated["x"] + 1e5, far, atol=2e-2)


def _far(x):
    return x + 1e5


def test_a_latent_energy_gives_its_observed_part():
    rbm = references.asymmetric_rbm().energy
    run = sampling.sample(rbm, BlockGibbs(), num_chains=4, num_steps=16, key=jax.random.key(0))
    assert run.x.shape == (4, 16, 6)
    assert run.x.dtype == np.int8
    assert set(np.unique(run.x)) == {0, 1}
    free = jax.vmap(jax.vmap(energies.marginal(rbm)))(jnp.asarray(run.x))
    np.testing.assert_allclose(run.energy, free, rtol=1e-5)


# -- keys -------------------------------------------------------------------------------------------------------------


def test_chains_do_not_depend_on_how_many_run_or_how_long(long_run):
    fewer = sampling.sample(WELL, RandomWalk(0.5), num_chains=3, num_steps=40, key=jax.random.key(3))
    assert same(fewer.x, long_run.x[:3, :40])
    assert len(np.unique(long_run.x[:, -1, 0])) == 8


def test_one_key_one_result_and_the_generator_is_told(long_run):
    again = sampling.sample(WELL, RandomWalk(0.5), num_chains=8, num_steps=200, key=jax.random.key(3))
    assert same(again.x, long_run.x)
    other = sampling.sample(
        WELL, RandomWalk(0.5), num_chains=8, num_steps=200, key=jax.random.key(3), generator="as-given"
    )
    assert not same(other.x, long_run.x)
    assert other.settings["generator"] == "threefry2x32"
    assert long_run.settings["generator"] == "energax_fast1"


def test_no_recompilation_for_new_numbers():
    traced = []

    def quadratic(k, x):
        traced.append(1)
        return 0.5 * k * jnp.sum(x**2)

    def run(k, step_size, **options):
        energy = energies.energy(quadratic, jnp.asarray(k), space=spaces.Euclidean(1, 1.0))
        sampling.sample(energy, MALA(step_size), num_chains=2, key=jax.random.key(int(k)), **options)

    run(1.0, 0.1, num_steps=100)
    before = len(traced)
    run(2.0, 0.2, num_steps=120, thin=1, num_warmup=5)
    run(3.0, 0.3, num_steps=390, thin=3)
    assert len(traced) == before


# -- starts -----------------------------------------------------------------------------------------------------------


def test_starts_are_cast_to_the_space():
    ising, key = references.asymmetric_ising().energy, jax.random.key(0)
    up = np.ones((3, 3, 3))
    assert sampling.sample(ising, HeatBath(), up, num_steps=1, key=key).last.dtype == np.int8
    assert sampling.sample(WELL, RandomWalk(0.1), np.zeros((4, 2), int), num_steps=1, key=key).x.dtype == np.float32
    bools = np.ones((2, 6), bool)
    rbm = references.asymmetric_rbm().energy
    assert sampling.sample(rbm, BlockGibbs(), bools, num_steps=1, key=key).last.dtype == np.int8


@pytest.mark.parametrize(
    ("space", "bad"),
    [(spaces.Spins(2), 0.5), (spaces.Binary(2), -1), (spaces.Box(2), 1.01), (spaces.Euclidean(2), np.nan)],
    ids=["spins", "binary", "box", "euclidean"],
)
def test_starts_outside_the_space_are_refused(space, bad):
    x0 = np.ones((3, 2))
    x0[1, 0] = bad
    with pytest.raises(SpaceError, match=r"1 of 3 starts in `x0` \(the first is chain 1\) lie outside"):
        sampling.starts(space, x0, None, key=jax.random.key(0))


def test_starts_of_the_wrong_shape_or_number_are_refused():
    key = jax.random.key(0)
    with pytest.raises(SpaceError, match=r"wants \(2,\) after 1 leading axis"):
        sampling.sample(WELL, RandomWalk(0.1), jnp.zeros((4, 3)), num_steps=1, key=key)
    with pytest.raises(ArgumentError, match="`x0` has 4 chains, but num_chains=5"):
        sampling.sample(WELL, RandomWalk(0.1), jnp.zeros((4, 2)), num_chains=5, num_steps=1, key=key)
    with pytest.raises(ArgumentError, match="num_chains must be positive"):
        sampling.sample(WELL, RandomWalk(0.1), num_chains=0, num_steps=1, key=key)
    plain = energies.energy(jnp.sum, space=spaces.Euclidean(2))
    with pytest.raises(SpaceError, match="declares no initial law, so a chain needs a start: pass `x0`"):
        sampling.sample(plain, RandomWalk(0.1), num_steps=1, key=key)


# -- batches of energies ----------------------------------------------------------------------------------------------


def _wells(tilts):
    return energies.Batched.over([energies.DoubleWell(2, barrier=2.0, tilt=tilt) for tilt in tilts])


def test_a_batch_gives_each_chain_its_own_energy(long_run):
    same_wells = sampling.sample(_wells([0.5] * 8), RandomWalk(0.5), num_steps=20, key=jax.random.key(3))
    np.testing.assert_allclose(same_wells.x, long_run.x[:, :20], atol=1e-5)
    tilted = sampling.sample(_wells([-5.0, 5.0]), RandomWalk(0.5), num_steps=400, key=jax.random.key(3))
    means = tilted.x[:, 100:].mean(axis=(1, 2))
    assert means[0] > 0.5
    assert means[1] < -0.5
    energy = energies.DoubleWell(2, barrier=2.0, tilt=5.0)(jnp.asarray(tilted.x[1, -1]))
    assert tilted.energy[1, -1] == pytest.approx(float(energy), rel=1e-5)


def test_batches_of_the_wrong_size_or_kind_are_refused():
    key = jax.random.key(0)
    with pytest.raises(ArgumentError, match=r"chain axes of \[2\] and there are 3 chains"):
        sampling.sample(_wells([0.0, 1.0]), RandomWalk(0.5), num_chains=3, num_steps=1, key=key)
    with pytest.raises(ArgumentError, match=r"chain axes of \[2\] and there are 4 chains"):
        sampling.sample(_wells([0.0, 1.0]), RandomWalk(0.5), jnp.zeros((4, 2)), num_steps=1, key=key)
    rbm = references.asymmetric_rbm().energy
    with pytest.raises(KernelMismatch, match="cannot run a batch of latent energies; use BlockGibbs"):
        sampling.sample(energies.Batched.over([rbm, rbm]), HeatBath(), num_steps=1, key=key)
    assert sampling.sample(energies.Batched.over([rbm, rbm]), BlockGibbs(), num_steps=2, key=key).x.shape == (2, 2, 6)


# -- adaptation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kernel", "wanted"),
    [(MALA(30.0), None), (HMC(1e-3, num_leapfrog=3), None), (RandomWalk(0.01), 0.5)],
    ids=["mala too large", "hmc too small", "rwm with its own target"],
)
def test_adaptation_reaches_the_wanted_acceptance(kernel, wanted):
    gaussian = densities.Gaussian(jnp.zeros(5), jnp.linspace(0.5, 2.0, 5))
    run = sampling.sample(
        gaussian,
        kernel,
        num_chains=64,
        num_warmup=400,
        num_steps=100,
        adapt=StepSizeAdaptation(wanted),
        key=jax.random.key(1),
    )
    assert run.accept_prob.mean() == pytest.approx(kernel.target_accept_prob if wanted is None else wanted, abs=0.05)
    assert float(run.kernel.step_size) != float(kernel.step_size)
    assert run.kernel.step_size.dtype == kernel.step_size.dtype


def test_adaptation_needs_a_step_size_and_a_warm_up():
    key, rbm = jax.random.key(0), references.asymmetric_rbm().energy
    with pytest.raises(ArgumentError, match="give num_warmup"):
        sampling.sample(WELL, MALA(0.1), num_steps=1, adapt=StepSizeAdaptation(), key=key)
    with pytest.raises(KernelMismatch, match="BlockGibbs has no step size to adapt"):
        sampling.sample(rbm, BlockGibbs(), num_steps=1, num_warmup=1, adapt=StepSizeAdaptation(), key=key)
    with pytest.raises(KernelMismatch, match="ULA never weighs its moves"):
        sampling.sample(WELL, ULA(0.1), num_steps=1, num_warmup=1, adapt=StepSizeAdaptation(), key=key)
    with pytest.raises(ArgumentError, match="between 0 and 1"):
        StepSizeAdaptation(1.5)


# -- trouble ----------------------------------------------------------------------------------------------------------


def test_kernels_that_do_not_fit_are_refused_with_a_way_out():
    key, ising = jax.random.key(0), references.asymmetric_ising().energy
    with pytest.raises(KernelMismatch, match=r"MALA needs a score.*Spins.*Try BlockGibbs\(\) or HeatBath\(\)"):
        sampling.sample(ising, MALA(0.1), num_steps=1, key=key)
    with pytest.raises(KernelMismatch, match=r"HeatBath needs discrete sites.*Try HMC.*or MALA"):
        sampling.sample(WELL, HeatBath(), num_steps=1, key=key)
    plain = energies.energy(_pairs, space=spaces.Spins(4))
    with pytest.raises(KernelMismatch, match=r"no known blocks. Try HeatBath\(\)"):
        sampling.sample(plain, BlockGibbs(), num_steps=1, key=key)
    with pytest.raises(ArgumentError, match="HeatBath knows"):
        HeatBath("systematic")
    with pytest.raises(ArgumentError, match="positive step_size, got -1"):
        ULA(-1.0)
    with pytest.raises(ArgumentError, match="num_leapfrog of at least 1"):
        HMC(0.1, num_leapfrog=0)


def _pairs(x):
    return jnp.sum(x * jnp.roll(x, 1)).astype(float)


@pytest.mark.parametrize("counts", [{"num_steps": 0}, {"num_steps": 10, "thin": 3}, {"num_steps": 1, "num_warmup": -1}])
def test_counts_that_make_no_sense_are_refused(counts):
    with pytest.raises(ArgumentError, match="positive multiple of thin"):
        sampling.sample(WELL, RandomWalk(0.5), key=jax.random.key(0), **counts)


def test_untyped_keys_are_refused():
    with pytest.raises(ArgumentError, match="typed key"):
        sampling.sample(WELL, RandomWalk(0.5), num_steps=1, key=jax.random.PRNGKey(0))


def test_an_energy_that_is_not_finite_at_the_start():
    wall = energies.energy(_wall, space=spaces.Euclidean(1))
    x0, key = jnp.array([[1.0], [-1.0], [2.0]]), jax.random.key(0)
    with pytest.raises(Diverged, match=r"not finite at the start of 1 of 3 chains \(chain 1: inf\)"):
        sampling.sample(wall, RandomWalk(0.5), x0, num_steps=100, key=key)
    run = sampling.sample(wall, RandomWalk(0.5), x0, num_steps=100, throw=False, key=key)
    assert np.isfinite(run.energy[[0, 2]]).all()
    assert run.x[[0, 2]].min() > 0
    assert run.result == ("successful" if np.isfinite(run.energy).all() else "nonfinite_energy")


def _wall(x):
    return jnp.where(x[0] > 0, x[0] ** 2, jnp.inf)


def test_nothing_accepted_is_told():
    options = {"num_chains": 2, "num_steps": 20, "key": jax.random.key(0)}
    with pytest.raises(Diverged, match=r"'all_proposals_rejected'.*smaller step size.*throw=False"):
        sampling.sample(WELL, HMC(30.0, num_leapfrog=3), **options)
    run = sampling.sample(WELL, HMC(30.0, num_leapfrog=3), throw=False, **options)
    assert run.result == "all_proposals_rejected"
    assert np.all(run.accept_prob == 0)
    assert np.all(run.x == run.x[:, :1])


def test_unadjusted_steps_to_nowhere_are_counted():
    """ULA with a step size beyond stability runs away; it stops at the last finite configuration and says so."""
    run = sampling.sample(WELL, ULA(5.0), num_chains=2, num_steps=50, throw=False, key=jax.random.key(0))
    assert np.isfinite(run.energy).all()
    assert np.all(run.num_nonfinite > 0)
    assert np.all(run.accept_prob < 1)


def test_an_interrupt_returns_what_there_is(long_run):
    told = []

    def interrupt(done, total):
        told.append((done, total))
        if len(told) == 2:
            raise KeyboardInterrupt

    run = sampling.sample(WELL, RandomWalk(0.5), num_chains=8, num_steps=200, progress=interrupt, key=jax.random.key(3))
    assert run.result == "interrupted"
    assert told[-1][0] == run.num_draws < 200
    assert same(run.x, long_run.x[:, : run.num_draws])
    assert same(run.last, run.x[:, -1])
    assert np.all(run.accept_prob <= 1)


def test_an_interrupt_inside_a_chunk_leaves_draws_and_counters_together(long_run, monkeypatch):
    calls = []
    inner = sampling._sample._run

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return inner(*args)

    monkeypatch.setattr(sampling._sample, "_run", interrupted)
    run = sampling.sample(
        WELL, RandomWalk(0.5), num_chains=8, num_steps=200, accumulators={"x": Mean()}, key=jax.random.key(3)
    )
    assert same(run.x, long_run.x[:, : run.num_draws])
    assert same(run.last, run.x[:, -1])
    np.testing.assert_allclose(run.accumulated["x"], run.x.mean(axis=1), atol=1e-5)
    calls.clear()
    calls.extend([1, 1])
    with pytest.raises(KeyboardInterrupt):
        sampling.sample(WELL, RandomWalk(0.5), num_chains=8, num_steps=200, key=jax.random.key(3))


def test_kernels_module_names_what_would_work():
    assert kernels.suggestions(WELL) == ["HMC(step_size=0.1)", "MALA(step_size=0.01)"]
    assert kernels.suggestions(references.asymmetric_rbm().energy) == ["BlockGibbs()", "HeatBath()"]


def test_estimates_of_what_was_saved(key):
    run = sampling.sample(
        WELL, MALA(0.1), num_chains=4, num_steps=200, key=key, save=lambda x: {"first": x[0], "all": x}
    )
    found = run.estimates()
    assert set(found) == {"first", "energy"}
    assert found["first"].value == pytest.approx(run.x["first"].mean(), rel=1e-5)
    assert found["first"].stderr > 0
    assert found["first"].diagnostics["tau"] > 0
    assert " ± " in str(found["energy"])
    posterior = run.to_arviz()["posterior"]
    assert posterior["all"].shape[:2] == (4, 200)
    assert set(posterior.data_vars) == {"first", "all"}
