"""GEBM: energies of nodes at three scales, and predictions that fall back to ignorance far from the data."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from energax._errors import ArgumentError, DataError, ShapeError
from energax.systems.graphs._baselines import logit_energy
from energax.systems.graphs._class_densities import ClassDensities, check_nodes
from energax.systems.graphs._diffusion import diffuse
from energax.systems.graphs._graph import Graph, Mask
from energax.systems.graphs._outputs import Floats, NodeOutputs
from energax.systems.graphs._training import check_masks

_TAIL = 0.025


@dataclasses.dataclass(frozen=True, eq=False)
class NodeEnergies:
    """Energies of all nodes of a graph, (n,) each; larger means more epistemic uncertainty.

    Attributes:
        independent: Of the node alone.
        group: Of its surroundings: the energies, diffused.
        local: Of its disagreement with them: the energy of the diffused evidence.
        evidence: The diffused evidence ẽ, (n, c).
        evidential: Probabilities (1 + exp ẽ_c) / Σ_k (1 + exp ẽ_k), uniform where there is no evidence, (n, c).
        calibrated: The same with (ẽ + b) / T in place of ẽ; None if no validation nodes were given to the fit.
    """

    independent: Floats
    group: Floats
    local: Floats
    evidence: Floats
    evidential: Floats
    calibrated: Floats | None

    @property
    def total(self) -> Floats:
        """The uncertainty of GEBM: the sum of the three, (n,)."""
        return self.independent + self.group + self.local


@dataclasses.dataclass(frozen=True, eq=False)
class GEBM:
    """Energy-based epistemic uncertainty of nodes, post hoc for any trained graph network.

    With o_c the logits and h the embedding of a node without messages, d_c(h) its squared Mahalanobis distance from
    the class c, and d̄_c the distance on the scale of the logits:

        e_c = o_c − γ d̄_c                           regularised evidence
        E_ind = −log Σ_c exp e_c                     independent: the node alone
        E_grp = P E_ind                              group: its surroundings
        E_loc = −log Σ_c exp (P e)_c                 local: evidence that neighbours do not share
        E = E_ind + E_grp + E_loc

    P diffuses ten times along the edges (`diffuse`). Where d̄_c has the scale of o_c and γ > 0, E grows as |h|² far
    from the data and exp(−E_ind) is integrable over h. With γ = 0 it is the energy of the logits, which falls without
    limit along some direction: nodes far away would be the most certain ones.

    Exactness: deterministic; in float64, finite for all finite outputs of single precision.
    Cost: fit O(n c d); energies O(n c d + num_steps · edges · c). A graph of 10⁶ edges takes seconds and 1 GB.

    Attributes:
        densities: Normal laws of the embeddings of each class.
        distance_range: Ends (low, high) of the middle 95 % of d_c over the nodes that were fitted on, (2, c).
        logit_range: The same of the logits o_c.
        gamma: γ ≥ 0.
        alpha: Share of its own value that a node keeps in a step of P.
        num_steps: Steps of P.
        calibration: (T, b), None without validation nodes.

    References: [fuchsgruber2024]. The released code has no evidential predictions; what stands here follows the text.
    """

    densities: ClassDensities
    distance_range: Floats
    logit_range: Floats
    gamma: float = 1.0
    alpha: float = 0.5
    num_steps: int = 10
    calibration: tuple[float, float] | None = None

    @staticmethod
    def fit(
        outputs: NodeOutputs,
        graph: Graph,
        train: Mask,
        *,
        valid: Mask | None = None,
        gamma: float = 1.0,
        alpha: float = 0.5,
        num_steps: int = 10,
    ) -> GEBM:
        """Fit on the graph that the network was trained on.

        Args:
            outputs: Of all its nodes, with messages and alone.
            graph: The graph; labels of the training nodes are read, and with `valid` those of its nodes.
            train: Training nodes, (n,).
            valid: Nodes that T and b of the calibrated probabilities are fitted on, by their log-likelihood.
            gamma: Weight of the distance. 1 is the published one; 0 is not integrable.
            alpha: Of the diffusion, in [0, 1].
            num_steps: Of the diffusion.

        Raises:
            ArgumentError: Numbers out of range.
            DataError: A class has no training node, or logits that are all equal; no validation node in `valid`.
            ShapeError: Arrays that do not fit together.

        Example:
            >>> rng = np.random.default_rng(0)
            >>> labels = np.arange(40) % 2
            >>> h = rng.normal(size=(40, 3)) + labels[:, None]
            >>> o = h @ np.asarray([[-1.0, 1.0], [-1.0, 1.0], [0.0, 0.5]])
            >>> ring = Graph([np.arange(40), (np.arange(40) + 1) % 40], labels)
            >>> gebm = GEBM.fit(NodeOutputs(o, h, o, h), ring, np.ones(40, bool))
            >>> far = gebm.energies(NodeOutputs(9 * o, 9 * h, 9 * o, 9 * h), ring).total
            >>> bool(np.median(far) > np.median(gebm.energies(NodeOutputs(o, h, o, h), ring).total))
            True
        """
        if not (np.isfinite(gamma) and gamma >= 0.0):
            raise ArgumentError(f"`gamma` must be a number that is not negative; got {gamma}.")
        densities = ClassDensities.fit(outputs, graph, train)
        check_masks(graph, train, valid)
        distances, logits = _middle(densities.distances(outputs.embeddings)), _middle(outputs.logits)
        for name, (low, high) in {"distances from": distances, "logits of": logits}.items():
            flat = np.flatnonzero(high <= low)
            if flat.size:
                raise DataError(f"The {name} class {flat[0]} are all equal: there is no scale to match.")
        fitted = GEBM(densities, distances, logits, gamma, alpha, num_steps)
        if valid is None:
            return fitted
        evidence = fitted.energies(outputs, graph).evidence[valid]
        return dataclasses.replace(fitted, calibration=_calibrated(evidence, graph.labels[valid]))

    def scaled_distances(self, embeddings: Floats) -> Floats:
        """d̄_c: distances mapped so that the middle 95 % of the fitted nodes lie where their logits do, (n, c)."""
        (low, high), (start, stop) = self.distance_range, self.logit_range
        return (self.densities.distances(embeddings) - low) * ((stop - start) / (high - low)) + start

    def energies(self, outputs: NodeOutputs, graph: Graph) -> NodeEnergies:
        """Energies and predictions of all nodes of a graph, the one that was fitted on or another.

        Raises:
            ShapeError: Outputs of another number of nodes, or of another network.
        """
        check_nodes(outputs, graph)
        sizes, fitted = (outputs.num_classes, outputs.embeddings.shape[1]), self.densities.mean.shape
        if sizes != fitted:
            raise ShapeError(
                "There are {} logits and {} embeddings, but it was fitted on {} and {}.".format(*sizes, *fitted)
            )
        e = outputs.alone_logits - self.gamma * self.scaled_distances(outputs.alone_embeddings)
        independent = logit_energy(e)
        spread = {"alpha": self.alpha, "num_steps": self.num_steps}
        evidence = diffuse(e, graph, **spread)
        calibrated = None if self.calibration is None else _evidential(evidence, *self.calibration)
        return NodeEnergies(
            independent,
            diffuse(independent, graph, **spread),
            logit_energy(evidence),
            evidence,
            _evidential(evidence),
            calibrated,
        )


def _middle(values: Floats) -> Floats:
    """Ends of the middle 95 % of each column, (2, c)."""
    ranked, n = np.sort(values, axis=0), values.shape[0]
    return np.stack([ranked[int(_TAIL * n)], ranked[min(int((1.0 - _TAIL) * n), n - 1)]])


def _evidential(evidence: Floats, temperature: float = 1.0, offset: float = 0.0) -> Floats:
    """Means of Dirichlet laws with the parameters 1 + exp((ẽ + b) / T)."""
    log_alpha = np.logaddexp(0.0, (evidence + offset) / temperature)
    # log_alpha = log(1 + exp x) is the logarithm of the parameter.
    return np.exp(log_alpha - logsumexp(log_alpha, axis=1, keepdims=True))


def _calibrated(evidence: Floats, labels: np.ndarray) -> tuple[float, float]:
    """T and b that give the labels the largest mean log-likelihood."""

    def loss(log_t_and_b: Floats) -> float:
        p = _evidential(evidence, float(np.exp(np.clip(log_t_and_b[0], -7, 7))), float(log_t_and_b[1]))
        return -float(np.log(p[np.arange(labels.size), labels] + 1e-300).mean())

    enough = {"xatol": 1e-2, "fatol": 1e-5}
    starts = [np.asarray([0.0, 0.0]), np.asarray([-1.0, 3.0])]
    best = min((minimize(loss, s, method="Nelder-Mead", options=enough) for s in starts), key=lambda found: found.fun)
    return float(np.exp(np.clip(best.x[0], -7, 7))), float(best.x[1])
