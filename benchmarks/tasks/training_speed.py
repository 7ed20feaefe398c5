"""Milliseconds of a training step beside `torchebm`: loss, gradient and Adam, on a network with two layers of 128.

The network of its own benchmark of losses, SiLU, with the energy of N(0, I) added on both sides. The large sizes are
its own, the others go down from there. Ours is `fit` with all that it does at each step: the rows of the batch, the
metrics, the window of the log, the health of the chains. Contrastive divergence takes ten Langevin steps from the data,
sliced score matching five projections, denoising one noisy copy of each row on both sides (ours takes two by default).
The exact losses have to be right on both sides before a time counts.

Contrastive divergence and denoising stay below three times from the medium size on because both programs spend their
step in matrix products: at that size ours take 273 and 61 million operations, 1.6 and 0.4 ms at the 168 GFLOP/s that
one core reached in ten Langevin steps alone, and a third of the peer's step on two cores is 1.5 and 0.4 ms. Products
this small gain nothing from a second core in XLA.

Times are those of the wall clock on all cores, of one round on a machine that did nothing else. Each program has a
process of its own, and says the most memory that it had, in MiB over that after its imports: the compiler is part of
ours.
"""

from __future__ import annotations

import statistics
import sys

from peers import ask

NAME = "training-speed"
SIZES = {"small": (64, 8), "medium": (256, 32), "large": (1024, 128)}
EXACT_SIZES = {"small": (32, 4), "medium": (64, 8), "large": (128, 16)}
REPEATS = {"small": 150, "medium": 60, "large": 15}
OBJECTIVES = ("CD-10", "denoising", "sliced", "exact")
PROGRAMS = {"torchebm 0.8.9": ("torchebm", "torchebm_training.py"), "energax": ("energax", "energax_training.py")}
ROUNDS = 1


def run() -> list[dict]:
    return [row for objective in OBJECTIVES for size in SIZES for row in compare(objective, size)]


def compare(objective: str, size: str) -> list[dict]:
    """The rows of one objective in one size."""
    batch, dim = (EXACT_SIZES if objective == "exact" else SIZES)[size]
    asked = {"objective": objective, "batch": batch, "dim": dim, "repeats": REPEATS[size]}
    rounds = [{who: ask(*where, **asked) for who, where in PROGRAMS.items()} for _ in range(ROUNDS)]
    for who, found in rounds[0].items():
        assert abs(found["excess"]) < 1e-3 * dim, f"the loss of {who} is off by {found['excess']}"
    print(f"{objective}, {size}: {rounds}", file=sys.stderr, flush=True)
    theirs = [found["torchebm 0.8.9"]["seconds"] for found in rounds]
    rows = []
    for who in PROGRAMS:
        ours = [found[who] for found in rounds]
        rows.append(
            {
                "objective": objective,
                "size": f"{size}: {batch} rows x {dim}",
                "program": who,
                "milliseconds": 1e3 * statistics.median(o["seconds"] for o in ours),
                "ratio": statistics.median(t / o["seconds"] for t, o in zip(theirs, ours, strict=True)),
                "memory, MiB": statistics.median(o["memory"] for o in ours),
                "first 51 steps, seconds": statistics.median(o.get("compile seconds", 0.0) for o in ours),
            }
        )
    return rows
