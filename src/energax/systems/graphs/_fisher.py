"""Several scores of nodes as one, by their ranks among nodes that are known to be in distribution."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from energax.systems.graphs._outputs import Floats


@dataclasses.dataclass(frozen=True, eq=False)
class FisherScore:
    """Fisher's combination of empirical p-values, −Σ_k log p_k.

    p_k = (1 + #{u : s_k(u) ≥ s_k(v)}) / (1 + m) says how rarely one of m reference nodes u has a score k as high as
    that of node v. Scores of any scale can be combined, and none of them outvotes the others by its size alone: each
    adds at most log (1 + m). For independent scores twice the sum is χ² with two degrees of freedom a score; scores of
    one node are not independent, so that it ranks nodes and is no test.

    Attributes:
        reference: Scores of the reference nodes, each sorted, (k, m).

    References: [fisher1925].
    """

    reference: Floats

    @staticmethod
    def fit(scores: Sequence[Floats]) -> FisherScore:
        """From scores of the reference nodes, (m,) each."""
        return FisherScore(np.sort(np.stack(scores), axis=1))

    def __call__(self, scores: Sequence[Floats]) -> Floats:
        """The combination for the same scores of other nodes, (n,) each; (n,)."""
        size = self.reference.shape[1]
        total = np.zeros(scores[0].shape[0])
        for known, asked in zip(self.reference, scores, strict=True):
            above = size - np.searchsorted(known, asked, side="left")
            total -= np.log((1.0 + above) / (1.0 + size))
        return total
