"""RBM 784 × 500 on two cores: block Gibbs, and updates of persistent CD, beside `rbms` (PyTorch)."""

from __future__ import annotations

import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
from peers import ask

import energax as ex

NAME = "rbm-speed"
SIZE = {"visible": 784, "hidden": 500, "chains": 512, "steps": 200, "batch": 512, "updates": 60}
ROUNDS = 3


def run() -> list[dict]:
    gate()
    rounds: dict[str, list[dict[str, float]]] = {"rbms 0.5.0": [], "energax, fast keys": [], "energax, threefry": []}
    for _ in range(ROUNDS):
        rounds["rbms 0.5.0"].append(ask("rbms", "rbms_speed.py", threads=2, **SIZE))
        rounds["energax, fast keys"].append(ours("fast"))
        rounds["energax, threefry"].append(ours("as-given"))
    peer = rounds["rbms 0.5.0"]
    rows = []
    for who, times in rounds.items():
        row: dict = {"program": who}
        for figure in ("chain_steps_per_second", "updates_per_second"):
            row[figure] = statistics.median(t[figure] for t in times)
            row[f"ratio, {figure.partition('_per')[0]}"] = statistics.median(
                t[figure] / p[figure] for t, p in zip(times, peer, strict=True)
            )
        row["compile seconds"] = max(t.get("compile_seconds", 0.0) for t in times)
        rows.append(row)
    return rows


def gate() -> None:
    """No timing counts unless the same kernel draws the right law on a machine that can be enumerated."""
    rbm = ex.testing.references.asymmetric_rbm().energy
    draws = ex.sample(
        rbm, ex.kernels.BlockGibbs(), num_chains=4096, num_steps=40, num_warmup=60, thin=40, key=jax.random.key(1)
    )
    mean = np.asarray(draws.x, np.float64)[:, -1].mean(0)
    exact = np.asarray(ex.exact.expectation(ex.energies.marginal(rbm), lambda v: v.astype(float)))
    z = (mean - exact) / np.sqrt(exact * (1 - exact) / 4096)
    assert np.abs(z).max() < 4.9, f"the kernel is wrong: z = {z}"


def ours(generator: str) -> dict[str, float]:
    rng = np.random.default_rng(0)
    weights = 0.05 * rng.standard_normal((SIZE["visible"], SIZE["hidden"]))
    rbm = ex.energies.RBM.from_parameters(
        jnp.asarray(weights, jnp.float32), jnp.zeros(SIZE["visible"]), jnp.zeros(SIZE["hidden"])
    )
    key = ex.random.choose(jax.random.key(0), generator)
    begin = time.perf_counter()
    gibbs(rbm, key)
    compiled = time.perf_counter() - begin
    begin = time.perf_counter()
    gibbs(rbm, jax.random.fold_in(key, 1))
    seconds = time.perf_counter() - begin
    return {
        "chain_steps_per_second": SIZE["chains"] * SIZE["steps"] / seconds,
        "updates_per_second": updates(rbm, key),
        "compile_seconds": compiled - seconds,
    }


def gibbs(rbm: ex.energies.RBM, key: jax.Array) -> None:
    ex.sample(
        rbm, ex.kernels.BlockGibbs(), num_chains=SIZE["chains"], num_steps=SIZE["steps"], thin=SIZE["steps"],
        key=key, generator="as-given", save=None,
    )  # fmt: skip


def updates(rbm: ex.energies.RBM, key: jax.Array) -> float:
    import optax

    data = (np.random.default_rng(0).random((SIZE["batch"], SIZE["visible"])) < 0.3).astype(np.int8)
    objective = ex.objectives.PersistentCD(ex.kernels.BlockGibbs(), num_chains=SIZE["chains"])
    learner = ex.Learner(rbm, objective, optimizer=optax.sgd(0.01))
    marks: dict[int, float] = {}

    class Clock:
        def on_log(self, step: int, metrics: object) -> None:
            marks[step] = time.perf_counter()

    count = SIZE["updates"]
    ex.fit(
        learner, data, key=key, num_steps=2 * count, batch_size=SIZE["batch"], log_every=count, hooks=(Clock(),),
        generator="as-given", recovery=None,
    )  # fmt: skip
    return count / (marks[2 * count] - marks[count])
