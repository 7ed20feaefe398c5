"""Ladders that tune themselves make half of the possible round trips on a field and on a glass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from energax import densities, energies, kernels, paths, sampling, spaces, testing

LADDERS, TUNING_LADDERS = 16, 4
SIDE, FREE_MASS_SQUARED = 16, 0.3
T_HOT, T_COLD = 3.0, 0.8


def _of_modes(params, z):
    phi4, transform, scales = params
    return phi4(transform @ (scales * z.reshape(SIDE, SIDE)) @ transform)


def _field():
    """φ⁴ at its finite-size coupling 4.25 (1 + 4/L), from a free field whose normal modes are the coordinates."""
    angle = 2 * np.pi * np.outer(np.arange(SIDE), np.arange(SIDE)) / SIDE
    k2 = 2 - 2 * np.cos(2 * np.pi * np.arange(SIDE) / SIDE)
    scales = 1 / np.sqrt(2 * (k2[:, None] + k2 + FREE_MASS_SQUARED))
    leaves = energies.Phi4(SIDE, quartic=4.25 * (1 + 4 / SIDE)), (np.cos(angle) + np.sin(angle)) / np.sqrt(SIDE), scales
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), leaves)
    target = energies.energy(_of_modes, params, space=spaces.Euclidean(SIDE**2))
    return paths.Geometric(densities.Gaussian(jnp.zeros(SIDE**2)), target)


def _glass():
    glass = energies.edwards_anderson((6, 6, 6), key=jax.random.key(7))
    return paths.Geometric(densities.Uniform(glass.space), energies.Tempered(glass, 1 / T_COLD))


SYSTEMS = {
    "field": (_field, kernels.HMC(0.3, num_leapfrog=8), 0.0, 2),
    "glass": (_glass, kernels.BlockGibbs(), T_COLD / T_HOT, 10),
}


def _shares(run):
    """The round-trip rate of each ladder as a fraction of its own 1/(2 + 2Λ)."""
    barriers = (1 - run.chain_swap_rate).sum(1)
    return run.num_round_trips / run.settings["num_steps"] * (2 + 2 * barriers)


def _at_least(values):
    """What the mean is not below: it misses with the probability `FALSE_ALARM`."""
    wide = stats.t.isf(testing.FALSE_ALARM, len(values) - 1)
    return values.mean() - wide * values.std(ddof=1) / np.sqrt(len(values))


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_half_of_the_possible_round_trips(name, key):
    """Barriers of 3.7 and 6.1, T from 3 to 0.8 in the glass: the share is 0.5 or more with all its error.

    Replicas that are not renewed between swaps fail: the field with steps that are a hundred times too small.
    """
    make, kernel, start, swap_every = SYSTEMS[name]
    path = make()
    tune_key, run_key = jax.random.split(key)
    ladder = sampling.tune_ladder(
        path, kernel, start=start, num_sweeps=256, num_chains=TUNING_LADDERS, swap_every=swap_every, swap_rate=0.8,
        key=tune_key,
    )  # fmt: skip
    x0 = jnp.tile(ladder.last, (LADDERS // TUNING_LADDERS, *[1] * (ladder.last.ndim - 1)))
    how = {"num_sweeps": 1024, "num_warmup": 512, "swap_every": swap_every, "save": None, "key": run_key}
    shares = _shares(sampling.replica_exchange(path, ladder.kernel, ladder.ts, x0, **how))
    print(f"{name}: {len(ladder.ts)} levels, {shares.mean():.3f} of the optimum, spread {shares.std(ddof=1):.3f}")
    assert _at_least(shares) >= 0.5
    if name == "field":
        lazy = ladder.kernel.with_step_size(ladder.kernel.step_size / 100)
        still = _shares(sampling.replica_exchange(path, lazy, ladder.ts, x0, **how))
        print(f"not renewed: {still.mean():.3f}")
        assert _at_least(still) < 0.5
