"""Points of the plane as 32 bits in Gray code: KL to the entropy floor, and MMD against the noise of true samples.

`python benchmarks/gray_code.py` makes every run of the table that is not in `benchmarks/gray_code` yet, one JSON file
each, and writes `docs/gray_code.md` from all of them; stopped, it goes on where it was. `--only NAME` makes the runs of
one law alone.

The cells are fixed (`energax.data.gray_code`), so that the floor h + 2 ln scale is known and nothing moves from run to
run. log Z of a model comes from weighted draws: two thirds from the fitted mixture, the others from the law itself and
from all 2^32 codes, so that no mass can hide. Draws of a model are draws of the mixture, resampled by their weights: no
chain has to mix, and the law itself has no part in them.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from gray_code_page import page

import energax as ex
from energax.data import GrayCode, gray_code
from energax.densities import AbstractDensity, SiteMixture, planar, site_mixture
from energax.energies import AbstractEnergy
from energax.estimators import mmd
from energax.objectives import AbstractObjective

FOLDER = Path(__file__).parent / "gray_code"
PAGE = Path(__file__).parent.parent / "docs" / "gray_code.md"
NAMES = ("spirals", "8gaussians", "rings", "two-moons", "pinwheel", "swiss-roll", "checkerboard")
SPACE = ex.spaces.Spins(32)
NUM_ROWS, NUM_COMPONENTS, NUM_ROUNDS = 400_000, 256, 20
NUM_STEPS, BATCHES, WIDTH = 1_200, {"mixture": 1024, "uniform": 1024, "discrepancy": 128}, 128
OPTIMIZER = optax.adam(optax.linear_schedule(4e-3, 4e-5, NUM_STEPS))
NUM_PROPOSALS, NUM_TEST, NUM_DRAWS, NUM_REPEATS, NUM_NULL = 500_000, 100_000, 4_000, 10, 20
BANDWIDTH, CHUNK = 10.0, 20_000
FIRST = [(name, "mixture", 0) for name in NAMES]
OTHERS = [(name, "mixture", seed) for seed in (1, 2) for name in NAMES]
OTHERS += [("8gaussians", "uniform", 0), ("8gaussians", "discrepancy", 0)]


def objective_of(kind: str, noise: SiteMixture) -> AbstractObjective:
    """What a run learns by: `mixture` and `uniform` are noise-contrastive against that noise."""
    if kind == "discrepancy":
        return ex.objectives.EnergyDiscrepancy(ex.objectives.SitePerturbation(0.1), 16)
    law = noise if kind == "mixture" else ex.densities.IndependentSites(SPACE)
    return ex.objectives.NoiseContrastive(law, num_noise=1)


def model_of(kind: str, noise: SiteMixture, key: jax.Array) -> AbstractEnergy:
    """A network, which corrects the mixture where that is the noise: it begins at the law of the mixture."""
    network = ex.energies.MLP(SPACE, hidden=(WIDTH,) * 3, key=key)
    if kind != "mixture":
        return network
    last = lambda net: (net.layers[-1].weight, net.layers[-1].bias)  # noqa: E731
    return ex.generative.Tilted(noise, eqx.tree_at(last, network, replace_fn=jnp.zeros_like))


@eqx.filter_jit
def chunk(law: AbstractDensity, key: jax.Array) -> jax.Array:
    """Some draws of a law."""
    return jax.vmap(lambda k: law.draw(key=k))(jax.random.split(key, CHUNK))


@eqx.filter_jit
def energies_of(energy: AbstractEnergy, rows: np.ndarray) -> jax.Array:
    """Energies of a few rows."""
    return jax.vmap(energy)(jnp.asarray(rows))


def draws(law: AbstractDensity, code: GrayCode | None, num: int, seed: int) -> np.ndarray:
    """Fresh rows of a law: of the plane, which are coded, or of bits."""
    keys = jax.random.split(jax.random.key(seed), -(-num // CHUNK))
    return np.concatenate([coded(code, np.asarray(chunk(law, k))) for k in keys])[:num]


def coded(code: GrayCode | None, points: np.ndarray) -> np.ndarray:
    """Codes of points, all of which lie inside, as −1 and 1, which suits networks; rows of bits as they are."""
    if code is None:
        return points
    edge = np.nextafter(2.0 ** (code.num_bits - 1) / code.scale, 0)
    return 2 * code.encode(np.clip(points, -edge, edge)).astype(np.int8) - 1


def in_blocks(energy: AbstractEnergy, rows: np.ndarray) -> np.ndarray:
    """Energies of many rows."""
    parts = np.split(rows, range(CHUNK, len(rows), CHUNK))
    return np.concatenate([np.asarray(energies_of(energy, part), np.float64) for part in parts])


def true_log_prob(law: AbstractDensity, code: GrayCode, rows: np.ndarray) -> np.ndarray:
    """Log-probabilities of codes under the law."""
    return -in_blocks(law, code.decode(rows > 0).astype(np.float32)) - 2 * np.log(code.scale)


def weighted(energy: AbstractEnergy, law: AbstractDensity, code: GrayCode, noise: SiteMixture, seed: int) -> dict:
    """log Z of the model with its error, and draws of it."""
    rng, few = np.random.default_rng(seed), NUM_PROPOSALS // 4
    of_noise = draws(noise, None, NUM_PROPOSALS, seed)
    of_law, everywhere = draws(law, code, few, seed + 1), 2 * rng.integers(0, 2, (few, 32), np.int8) - 1
    rows = np.concatenate([of_noise, of_law, everywhere])
    energies, at_noise = in_blocks(energy, rows), -in_blocks(noise, rows)
    each = [at_noise, true_log_prob(law, code, rows), np.full(len(rows), -32 * np.log(2))]
    shares = np.array([NUM_PROPOSALS, few, few]) / len(rows)
    log_w = -energies - np.logaddexp.reduce([e + np.log(s) for e, s in zip(each, shares, strict=True)])
    weights = np.exp(log_w - log_w.max())
    own = (-energies - at_noise)[:NUM_PROPOSALS]
    own = np.exp(own - own.max())
    # Out of so many that a draw comes twice more rarely than MMD could see.
    chosen = rng.choice(NUM_PROPOSALS, (NUM_REPEATS, NUM_DRAWS), p=own / own.sum())
    return {
        "log_z": log_w.max() + np.log(weights.mean()),
        "log_z_stderr": weights.std() / weights.mean() / np.sqrt(len(rows)),
        "ess": own.sum() ** 2 / (own**2).sum() / NUM_PROPOSALS,
        "draws": of_noise[chosen],
    }


def measured(energy: AbstractEnergy, law: AbstractDensity, code: GrayCode, noise: SiteMixture, seed: int) -> dict:
    """KL to the truth with its error, that of the mixture too, and MMD of draws of the model to fresh ones."""
    found = weighted(energy, law, code, noise, seed)
    fresh = draws(law, code, NUM_TEST, seed + 2)
    truth = true_log_prob(law, code, fresh)
    gaps = truth + in_blocks(energy, fresh) + found["log_z"]
    others = draws(law, code, NUM_REPEATS * NUM_DRAWS, seed + 3).reshape(NUM_REPEATS, NUM_DRAWS, 32)
    tests = [distance(a, b, num_permutations=99) for a, b in zip(found["draws"], others, strict=True)]
    return {
        "kl": float(gaps.mean()),
        "kl_stderr": float(np.hypot(gaps.std() / np.sqrt(len(gaps)), found["log_z_stderr"])),
        "kl_mixture": float((truth + in_blocks(noise, fresh)).mean()),
        "floor": float(-truth.mean()),
        "ess": float(found["ess"]),
        "mmd": [float(t.value) for t in tests],
        "p_values": [float(t.diagnostics["p_value"]) for t in tests],
    }


def distance(a: np.ndarray, b: np.ndarray, **options: Any) -> ex.estimators.Estimate:
    """MMD² between two sets of codes."""
    return mmd(a, b, "exponential-hamming", BANDWIDTH, **options)


def truth_apart(name: str) -> dict[str, Any]:
    """MMD² of the law against itself, in the size of the comparison."""
    rows = draws(planar(name), gray_code(name), 2 * NUM_NULL * NUM_DRAWS, 12_345)
    pairs = rows.reshape(NUM_NULL, 2, NUM_DRAWS, 32)
    return {"name": name, "mmd": [float(distance(a, b).value) for a, b in pairs]}


def run(name: str, kind: str, seed: int) -> dict[str, Any]:
    """One model of one law: the mixture is fitted to its rows, the model trained, and both measured on others."""
    law, code = planar(name), gray_code(name)
    rows = draws(law, code, NUM_ROWS, 1000 * seed + 100)
    begin = time.perf_counter()
    noise = site_mixture(SPACE, rows, NUM_COMPONENTS, key=jax.random.key(seed), num_rounds=NUM_ROUNDS)
    jax.block_until_ready(noise.logits)
    fitted = time.perf_counter() - begin
    model, objective = model_of(kind, noise, jax.random.key(seed)), objective_of(kind, noise)
    learner = ex.Learner(model, objective, optimizer=OPTIMIZER, ema_decay=0.999)
    key, batch = jax.random.key(seed + 1), BATCHES[kind]
    done = ex.fit(learner, rows, key=key, num_steps=NUM_STEPS, batch_size=batch)
    if done.step < NUM_STEPS:
        raise SystemExit("Interrupted; the command goes on with this run.")
    trained = time.perf_counter() - begin - fitted
    result = {"name": name, "objective": kind, "seed": seed, "num_steps": NUM_STEPS, "batch": batch}
    result |= {
        "components": NUM_COMPONENTS,
        "rows": NUM_ROWS,
        "seconds of the mixture": fitted,
        "seconds of training": trained,
    }
    result |= {"machine": f"{platform.system()} {platform.machine()}, JAX {jax.__version__}"}
    return {**result, **measured(done.energy, law, code, noise, 1000 * seed + 500)}


def main() -> None:
    """All runs that are missing, and the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=NAMES)
    only = parser.parse_args().only
    FOLDER.mkdir(exist_ok=True)
    tasks = {f"{name}-{kind}-{seed}": (name, run, (name, kind, seed)) for name, kind, seed in FIRST}
    tasks |= {f"{name}-truth": (name, truth_apart, (name,)) for name in NAMES}
    tasks |= {f"{name}-{kind}-{seed}": (name, run, (name, kind, seed)) for name, kind, seed in OTHERS}
    missing = {
        stem: task for stem, task in tasks.items()
        if only in (None, task[0]) and not (FOLDER / f"{stem}.json").exists()
    }  # fmt: skip
    for number, (stem, (_, make, arguments)) in enumerate(missing.items(), 1):
        print(f"[{number} of {len(missing)}] {stem} ...", flush=True)
        result = make(*arguments)
        (FOLDER / f"{stem}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        if "kl" in result:
            print(f"  KL {result['kl']:.4f} ± {result['kl_stderr']:.4f} nats", flush=True)
    PAGE.write_text(page(FOLDER), encoding="utf-8")


if __name__ == "__main__":
    main()
