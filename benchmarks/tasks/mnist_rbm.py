"""Machines of 784 × 500 units on the fixed `mnist_binarized` split: likelihood after 30 core-minutes, beside `rbms`.

Persistent CD of ours has two cores for 15 minutes; ours along the trajectory and `rbms`' persistent CD then run beside
each other, with one core each for 30 minutes. All follow the centred gradient with plain steps of a rate that falls
linearly to nothing, in batches of 128 rows, and decay their weights; rate and decay were chosen on the validation rows,
in runs of a tenth of the length. All are judged by our `log_z` and the test rows, ours along the checkpoints of their
runs, each on one core. The figure to compare with is −86.34 nats of CD-25 (Salakhutdinov and Murray, ICML 2008;
annealed importance sampling, which errs upwards: compare it with the upper end).
"""

from __future__ import annotations

import os
import queue
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from peers import ask

NAME = "mnist-rbm"
CORE_MINUTES, BATCH, CHAINS, LADDERS, MODELS = 30, 128, 128, 16, 8
LEARNING_RATE, WEIGHT_DECAY = 0.2, 5e-4
PROGRAMS = ("energax, persistent CD", "energax, trajectory", "rbms 0.5.0, persistent CD")
BUDGET = 40_000_000


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
        free = queue.SimpleQueue()
        for core in cores:
            free.put(core)
        with ThreadPoolExecutor(2) as pool:
            judgements = pool.map(lambda place: judged(Path(folder) / f"{place}.npz", images, free), range(len(rows)))
            return [{**row, **found} for row, found in zip(rows, judgements, strict=True)]


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


def judged(parameters: Path, images: Path, free: queue.SimpleQueue) -> dict:
    """Both ends of the mean log-likelihood of the validation and the test rows, in nats, and what they rest on."""
    core = free.get()
    os.sched_setaffinity(0, [core])
    try:
        found = ask("energax", "energax_judge.py", parameters=str(parameters), data=str(images), budget=BUDGET)
    finally:
        free.put(core)
    print(f"{PROGRAMS[int(parameters.stem)]}: {found}", file=sys.stderr, flush=True)
    return found
