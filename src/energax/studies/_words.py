"""What each objective needs, where it is biased, and when to take it: the part of the table that is not measured."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Words:
    """One objective in words.

    Attributes:
        cost: Evaluations of an update for each row or chain: E an energy, S a score.
        needs: What has to be there.
        bias: What is not exact about its optimum.
        when: When to take it.
    """

    cost: str
    needs: str
    bias: str
    when: str


_SITES = "all conditional logits"

WORDS: dict[str, Words] = {
    "persistent-cd": Words(
        "k transitions of all chains, 2 E", "a kernel that mixes", "as far as chains lag behind; masses of far modes",
        "chains mix well: machines with block Gibbs, one region",
    ),
    "cd": Words(
        "k transitions from each row, 2 E", "a kernel", "of the order of what k steps leave; far modes unseen",
        "a cheap, stable start",
    ),
    "tempered-pcd": Words(
        "k transitions and 2 E of each replica", "a kernel, replicas that travel", "none, as far as replicas travel",
        "separated modes, discrete or not",
    ),
    "trajectory-pcd": Words(
        "k transitions and 2 E of each replica", "a kernel, training from an easy start",
        "none, as far as replicas travel", "separated modes that part while training; phase transitions",
    ),
    "flow-assisted": Words(
        "k transitions, 1 E and 2 densities of all chains, 2 E", "a kernel, few columns, modes in the first batch",
        "none, while the flow follows", "separated modes of few real columns",
    ),
    "jarzynski": Words(
        "k transitions and 1 E of all walkers, 2 E", "a kernel, small updates", "none, while walkers keep their weight",
        "separated modes whose masses matter; log Z comes along",
    ),
    "short-run": Words(
        "k transitions of all chains, 2 E", "a kernel", "the energy is wrong on purpose; its short chains are right",
        "draws are wanted, not densities",
    ),
    "recovery-likelihood": Words(
        "k transitions from each row, 2 E", "a kernel, a family of energies", "the least noise; as cd within a level",
        "generation through falling noise",
    ),
    "exact-likelihood": Words(
        "1 E for each configuration or node", "few configurations, or two columns", "none: the bracket of the others",
        "tests, small models",
    ),
    "denoising-score-matching": Words(
        "2 S for each pair of noises", "real numbers, a noise scale", "learns the data smeared by the noise; far modes",
        "images, high dimensions, one region",
    ),
    "multi-scale-denoising": Words(
        "2 S for each pair of noises", "real numbers, a family of energies", "the least noise; levels need not agree",
        "generation through falling noise",
    ),
    "pseudo-likelihood": Words(
        _SITES, "discrete sites", "none in the limit of many rows; far modes on few", "couplings of known form",
    ),
    "ratio-matching": Words(_SITES, "discrete sites", "as pseudo-likelihood", "outliers among the rows"),
    "interaction-screening": Words(
        _SITES, "discrete sites", "as pseudo-likelihood; heavy weights at strong couplings", "sparse couplings",
    ),
    "minimum-probability-flow": Words(_SITES, "discrete sites", "as interaction-screening", "couplings, no chains"),
    "concrete-score-matching": Words(
        _SITES, "discrete sites, many rows", "rare rows decide", "many rows, several values a site",
    ),
    "score-matching": Words(
        "1 S and d derivatives of it", "real numbers with a smooth density", "none; blind to masses of far modes",
        "few columns, one region",
    ),
    "sliced-score-matching": Words(
        "1 S and a derivative for each direction", "as score-matching", "as score-matching", "more columns",
    ),
    "finite-difference-score-matching": Words(
        "1 + 2 E for each direction", "as score-matching", "O(spacing²); as score-matching", "no derivatives in x",
    ),
    "conditional-nce": Words(
        "1 + ν E", "a noise scale that reaches the next mode", "none; blind to modes that the noise does not reach",
        "few dimensions, no law of noise at hand",
    ),
    "kernel-stein": Words(
        "1 S, n² numbers a batch", "real numbers, a bandwidth", "none; weak for detail finer than the kernel",
        "a check beside others",
    ),
    "nce": Words(
        "1 + ν E", "a law near the data, with a density", "none; no signal where noise and data hardly overlap",
        "few dimensions: the first choice there; log Z comes along",
    ),
    "ranking-nce": Words("1 + K E", "as nce", "none for any K", "as nce, without log Z"),
    "flow-contrastive": Words(
        "2 E, 2 densities of a flow", "a flow", "none at rest, which the game may miss", "data far from simple noise",
    ),
    "adversarial": Words(
        "2 E, a draw of a flow", "a flow that follows the model", "as far as the flow is not the model",
        "draws are wanted at once",
    ),
    "energy-matching": Words(
        "2 S and n numbers of a plan, then k S and 2 E more", "real numbers, noise about as wide as the data",
        "the flow pulls on the energy; as cd beyond the chains", "draws from noise by a time-independent potential",
    ),
    "energy-discrepancy": Words(
        "1 + M E", "a perturbation", "none at any scale; blind to modes that it does not reach",
        "no scores, discrete or not",
    ),
}  # fmt: skip
