"""Machines of 784 × 500 units on the fixed `mnist_binarized` split: likelihood after 30 core-minutes, beside `rbms`.

Persistent CD of ours has two cores for 15 minutes; ours along the trajectory and `rbms`' persistent CD then run beside
each other, with one core each for 30 minutes. All follow the centred gradient with plain steps of a rate that falls
linearly to nothing, in batches of 128 rows, and decay their weights; rate and decay were chosen on the validation rows,
in runs of a tenth of the length. All are judged by our `log_likelihood` on the test rows. The figure to compare with is
−86.34 nats of CD-25 (Salakhutdinov and Murray, ICML 2008; annealed importance sampling, which errs upwards: compare it
with the upper end).
"""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from peers import ask

import energax as ex

NAME = "mnist-rbm"
CORE_MINUTES, BATCH, CHAINS, LADDERS, MODELS = 30, 128, 128, 16, 8
LEARNING_RATE, WEIGHT_DECAY = 0.2, 5e-4
PROGRAMS = ("energax, persistent CD", "energax, trajectory", "rbms 0.5.0, persistent CD")
BUDGET = 30_000_000


def run() -> list[dict]:
    images = Path(os.environ["ENERGAX_DATA"]) / "images" / "mnist_binarized.npz"
    cores = sorted(os.sched_getaffinity(0))[:2]
    assert len(cores) == 2, "this comparison shares out two cores"
    ours, *others = PROGRAMS
    with tempfile.TemporaryDirectory() as folder:
        rows = [trained(ours, images, Path(folder), cores)]
        with ThreadPoolExecutor(2) as pool:
            jobs = [
                pool.submit(trained, who, images, Path(folder), [core]) for who, core in zip(others, cores, strict=True)
            ]
            rows += [job.result() for job in jobs]
        return [{**row, **judged(Path(folder) / f"{place}.npz", images)} for place, row in enumerate(rows)]


def trained(who: str, images: Path, folder: Path, cores: list[int]) -> dict:
    """Train on these cores alone, 30 core-minutes in all; how fast that went."""
    os.sched_setaffinity(0, cores)  # of this thread, which the process that it starts inherits
    asked = {
        "data": str(images), "out": str(folder / f"{PROGRAMS.index(who)}.npz"), "seed": 0, "hidden": 500,
        "seconds": 60 * CORE_MINUTES / len(cores), "batch": BATCH, "chains": CHAINS, "learning_rate": LEARNING_RATE,
        "weight_decay": WEIGHT_DECAY,
    }  # fmt: skip
    if who.startswith("rbms"):
        found = ask("rbms", "rbms_mnist.py", threads=len(cores), **asked)
    else:
        objective = who.removeprefix("energax, ").split()[0]
        asked |= {"objective": objective, "models": MODELS} | ({"chains": LADDERS} if objective == "trajectory" else {})
        found = ask("energax", "energax_mnist.py", **asked)
    return {"program": who, "cores": len(cores), "minutes": found["seconds"] / 60, "updates": found["updates"]}


def judged(parameters: Path, images: Path) -> dict:
    """Both ends of the mean log-likelihood of the validation and the test rows, in nats, and what they rest on."""
    with np.load(parameters) as stored:
        rbm = ex.energies.RBM.from_parameters(*(jnp.asarray(stored[name]) for name in stored.files))
    with np.load(images) as stored:
        rows = {name: stored[name].reshape(len(stored[name]), -1).astype(np.int8) for name in stored.files}
    found = ex.evaluation.log_likelihood(rbm, rows["test"], data=rows["train"], budget=BUDGET, key=jax.random.key(7))
    at_valid = -float(np.mean(jax.vmap(ex.energies.marginal(rbm))(jnp.asarray(rows["valid"]))))
    ends = found.interval
    return {
        "test, lower": ends.lower, "test, upper": ends.upper, "kinds": f"{ends.lower_kind} / {ends.upper_kind}",
        "test, value": ends.upper - found.log_z.value + found.log_z.interval.lower,
        "validation, upper": at_valid - found.log_z.interval.lower,
    }  # fmt: skip
