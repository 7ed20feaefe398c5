"""Gradients and seconds until the mean of x² is known to a tenth of its deviation, tuning counted, beside BlackJAX.

The cost is the gradients of tuning, and those that the median chain needs until its running means stay closer to the
truth than 0.01 in squared error over variance, averaged over the coordinates (100 effective draws). Sixteen chains from
N(0, 1), five seeds (three for the Cauchy law), medians. Ours is MCLMC on every target, tuned over all chains together
in 192 steps, with a decoherence length of 4√d. BlackJAX's is the better of its NUTS and its MCLMC, each chain tuned by
its own routines; NUTS was left out where it takes minutes (Cauchy, φ⁴). Neither MCLMC is exact: a bias larger than the
wanted error would show as a target that is never reached. The funnel is judged in the coordinates x_0/3 and
x_i exp(−x_0/2), the Cauchy law, whose x² has no mean, by log π(1 + x²).
"""

from __future__ import annotations

import dataclasses
import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import blackjax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import energax as ex

NAME = "gradients-to-low-error"
CHAINS, OUR_TUNING, WANTED = 16, 192, 0.01


@dataclasses.dataclass(frozen=True)
class Case:
    """A target with the exact mean and variance of what is averaged."""

    energy: Any
    statistic: Callable[[Any], Any]
    mean: np.ndarray
    variance: np.ndarray
    steps: int
    tuning: int
    nuts: tuple[int, int] | None
    """Draws and warm-up of NUTS, None where a draw takes too long."""
    seeds: int = 5


class Bimodal(ex.energies.AbstractEnergy):
    """¾ N(0, 1) + ¼ N(4 e_1, 0.36) in 50 dimensions."""

    space: ex.spaces.Euclidean = eqx.field(static=True)

    def __call__(self, x: Any) -> Any:
        far = jnp.log(0.25) - 0.5 * jnp.sum(x.at[0].add(-4.0) ** 2) / 0.36 - x.size * jnp.log(0.6)
        return -jnp.logaddexp(jnp.log(0.75) - 0.5 * jnp.sum(x**2), far)


def cases() -> dict[str, Case]:
    square = jnp.square
    v = np.geomspace(1e-2, 1e2, 100)
    # Rosenbrock: u ~ N(1, 1), v ~ N(u², 0.1): E u⁴ = 10, E u⁸ = 764.
    half, q = np.ones(18), 0.1
    rosen = np.r_[2 * half, (10 + q) * half], np.r_[6 * half, (764 + 60 * q + 3 * q * q - (10 + q) ** 2) * half]
    first, rest = 0.75 + 0.25 * 16.36, 0.75 + 0.25 * 0.36
    fourth = 0.75 * 3 + 0.25 * (256 + 96 * 0.36 + 3 * 0.36**2), 0.75 * 3 + 0.25 * 3 * 0.36**2
    modes = np.r_[first, np.full(49, rest)], np.r_[fourth[0] - first**2, np.full(49, fourth[1] - rest**2)]
    lattice = ex.energies.Phi4(64)
    field = phi4_moments(lattice)
    return {
        "normal law, 100-d, condition 10⁴": Case(
            ex.densities.ill_conditioned(100, 1e4), square, v, 2 * v**2, 1500, 1000, (300, 300)
        ),
        "Rosenbrock, 36-d": Case(ex.densities.Rosenbrock(36, 0.1), square, *rosen, 20_000, 10_000, (400, 300)),
        "two modes, 50-d": Case(
            Bimodal(ex.spaces.Euclidean(50, initial_scale=1.0)), square, *modes, 16_000, 4000, (4000, 300)
        ),
        "Neal's funnel, 20-d": Case(
            ex.densities.Funnel(20, 3.0), straightened, np.ones(20), np.full(20, 2.0), 20_000, 10_000, (700, 300)
        ),
        "Cauchy, 100-d": Case(
            ex.densities.Cauchy(100), lambda x: jnp.log(jnp.pi * (1 + x**2)), np.full(100, np.log(4 * np.pi)),
            np.full(100, np.pi**2 / 3), 140_000, 4000, None, seeds=3,
        ),
        "φ⁴, 64 × 64, λ = 4.515625": Case(lattice, square, *field, 1000, 1000, None),
    }  # fmt: skip


def straightened(x: Any) -> Any:
    return jnp.concatenate([x[:, :1] / 3.0, x[:, 1:] * jnp.exp(-0.5 * x[:, :1])], axis=1) ** 2


def phi4_moments(energy: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of φ² at a site from exact HMC; all sites are alike, so that a short run is sharp enough."""
    run = ex.sample(
        energy, ex.kernels.HMC(0.1, num_leapfrog=10), num_chains=8, num_warmup=300, num_steps=160, thin=4,
        adapt=ex.sampling.StepSizeAdaptation(), save=lambda x: jnp.stack([jnp.mean(x**2), jnp.mean(x**4)]),
        key=jax.random.key(0),
    )  # fmt: skip
    second, fourth = np.asarray(run.x, np.float64)[:, 10:].mean((0, 1))
    return np.full((64, 64), second), np.full((64, 64), fourth - second**2)


def run() -> list[dict]:
    rows = []
    for name, case in cases().items():
        ours = measured(case, pooled(case), case.steps)
        peers = {"MCLMC": measured(case, own_mclmc(case), case.steps)}
        if case.nuts is not None:
            peers["NUTS"] = measured(case, own_nuts(case), case.nuts[0])
        best = min(peers, key=lambda who: peers[who]["gradients"])
        rows += [row(name, "energax MCLMC", ours, peers[best])]
        rows += [row(name, f"BlackJAX {who}", found, peers[best]) for who, found in peers.items()]
    return [*rows, overall(rows)]


def row(target: str, program: str, found: dict[str, float], best: dict[str, float]) -> dict:
    return {
        "target": target,
        "program": program,
        "gradients": told(found["gradients"], found["most"]),
        "of them tuning": round(found["tuning"]),
        "seconds": told(found["seconds"], None),
        "ratio of gradients": ratio(best["gradients"], found["gradients"]),
        "ratio of seconds": ratio(best["seconds"], found["seconds"]),
        "compile seconds": found["compile seconds"],
    }


def told(value: float, most: float | None) -> str:
    if np.isfinite(value):
        return f"{value:.3g}" if value < 100 else f"{value:.0f}"
    return "not reached" if most is None else f"not reached in {most:.0f}"


def ratio(theirs: float, ours: float) -> float:
    return theirs / ours if np.isfinite(theirs) and np.isfinite(ours) else float("nan")


def overall(rows: list[dict]) -> dict:
    """The geometric mean of our ratios, over targets that both reach."""
    mine = [r for r in rows if r["program"].startswith("energax") and np.isfinite(r["ratio of gradients"])]
    names = ("ratio of gradients", "ratio of seconds")
    means = {name: statistics.geometric_mean([r[name] for r in mine]) if mine else float("nan") for name in names}
    return {"target": f"geometric mean of {len(mine)} targets", "program": "energax MCLMC", **means}


Sampler = tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]
"""(starts, key) → parameters, places, gradients of tuning; (parameters, place, key) → state; and a step of it."""


def measured(case: Case, sampler: Sampler, steps: int) -> dict[str, float]:
    """Medians over the seeds of gradients and seconds; the first seed is run twice, to tell compilation apart."""
    tune, begin, step = sampler
    mean, variance = (jnp.asarray(a, jnp.float32) for a in (case.mean, case.variance))

    @eqx.filter_jit
    def chains(parameters: Any, x: Any, key: Any) -> Any:
        def one(carry: Any, i: Any) -> Any:
            states, total, spent = carry
            keys = jax.random.split(jax.random.fold_in(key, i), CHAINS)
            states, used = jax.vmap(functools.partial(step, parameters))(states, keys)
            total = total + case.statistic(states.x) - mean
            error = ((total / (i + 1)) ** 2 / variance).reshape(CHAINS, -1).mean(1)
            spent = spent + used.mean()
            return (states, total, spent), (jnp.median(error), spent)

        keys = jax.random.split(key, CHAINS)
        states = jax.vmap(functools.partial(begin, parameters))(x, keys)
        carry = (states, jnp.zeros((CHAINS, *mean.shape)), jnp.zeros(()))
        return jax.lax.scan(one, carry, jnp.arange(steps))[1]

    found = []
    for seed in (0, *range(case.seeds)):
        key = jax.random.key(seed)
        x = jax.random.normal(key, (CHAINS, *case.energy.space.shape))
        start = time.perf_counter()
        parameters, x, tuning = jax.block_until_ready(tune(x, jax.random.fold_in(key, 1)))
        middle = time.perf_counter()
        errors, spent = map(np.asarray, jax.block_until_ready(chains(parameters, x, jax.random.fold_in(key, 2))))
        end = time.perf_counter()
        high = np.flatnonzero(~(errors <= WANTED))
        at = 0 if not high.size else int(high[-1]) + 1
        share = np.inf if at >= steps else (at + 1) / steps
        gradients = np.inf if at >= steps else float(spent[at])
        tuning = float(np.mean(tuning))
        found.append(
            (tuning + gradients, (middle - start) + share * (end - middle), tuning, end - start, spent[-1] + tuning)
        )
    first, *later = found
    middle = [statistics.median(column) for column in zip(*later, strict=True)]
    names = ("gradients", "seconds", "tuning", "whole", "most")
    return {**dict(zip(names, middle, strict=True)), "compile seconds": first[3] - middle[3]}


def pooled(case: Case) -> Sampler:
    d = case.energy.space.num_sites

    def tune(x: Any, key: Any) -> Any:
        found = ex.sampling.warm_up(
            case.energy, ex.kernels.MCLMC(0.25 * d**0.5, 4.0 * d**0.5), x, num_steps=OUR_TUNING, key=key
        )
        return found.kernel, jnp.asarray(found.x), found.num_gradients

    def begin(kernel: Any, x: Any, key: Any) -> Any:
        return kernel.init(case.energy, x, key=key)

    def step(kernel: Any, state: Any, key: Any) -> Any:
        return kernel.step(case.energy, state, key=key)[0], jnp.full((), 2.0)

    return tune, begin, step


def own_mclmc(case: Case) -> Sampler:
    kernel, density = blackjax.mclmc.build_kernel(), lambda x: -case.energy(x)

    @jax.jit
    def tune(x: Any, key: Any) -> Any:
        def one(x: Any, key: Any) -> Any:
            begin_key, key = jax.random.split(key)
            state = blackjax.mclmc.init(x, density, begin_key)
            state, found, count = blackjax.mclmc_find_L_and_step_size(kernel, case.tuning, state, key, density)
            return found, state.position, 2 * count

        return jax.vmap(one)(x, jax.random.split(key, CHAINS))

    return per_chain(
        tune,
        lambda x, key: blackjax.mclmc.init(x, density, key),
        lambda found, state, key: (
            kernel(key, state, density, found.inverse_mass_matrix, found.L, found.step_size)[0],
            jnp.full((), 2.0),
        ),
    )


def own_nuts(case: Case) -> Sampler:
    kernel, density = blackjax.nuts.build_kernel(), lambda x: -case.energy(x)
    assert case.nuts is not None
    num_warmup = case.nuts[1]

    @jax.jit
    def tune(x: Any, key: Any) -> Any:
        def one(x: Any, key: Any) -> Any:
            warm = blackjax.window_adaptation(
                blackjax.nuts, density, adaptation_info_fn=lambda state, info, adapted: info.num_integration_steps
            )
            (last, found), counts = warm.run(key, x, num_warmup)
            return (found["step_size"], found["inverse_mass_matrix"]), last.position, counts.sum()

        return jax.vmap(one)(x, jax.random.split(key, CHAINS))

    def move(found: Any, state: Any, key: Any) -> Any:
        state, info = kernel(key, state, density, *found)
        return state, info.num_integration_steps.astype(float)

    return per_chain(tune, lambda x, key: blackjax.nuts.init(x, density), move)


def per_chain(tune: Any, init: Any, move: Any) -> Sampler:
    """A sampler each chain of which has parameters of its own, carried along with its state."""

    class Carried(eqx.Module):
        state: Any
        found: Any

        @property
        def x(self) -> Any:
            return self.state.position

    def tuned(x: Any, key: Any) -> Any:
        found, x, count = tune(x, key)
        return None, (found, x), count

    def begin(_: Any, place: Any, key: Any) -> Any:
        return Carried(init(place[1], key), place[0])

    def step(_: Any, carried: Any, key: Any) -> Any:
        state, used = move(carried.found, carried.state, key)
        return Carried(state, carried.found), used

    return tuned, begin, step
