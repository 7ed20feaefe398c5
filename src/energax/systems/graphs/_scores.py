"""Names of scores: one way to fit and to ask them all."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from scipy.special import softmax

from energax._errors import ArgumentError, nearest
from energax.systems.graphs._baselines import (
    entropy,
    gnnsafe,
    graph_kernel_density,
    logit_energy,
    max_softmax,
    mutual_information,
)
from energax.systems.graphs._class_densities import ClassDensities
from energax.systems.graphs._fisher import FisherScore
from energax.systems.graphs._gebm import GEBM, NodeEnergies
from energax.systems.graphs._graph import Graph, Mask
from energax.systems.graphs._outputs import Floats, NodeOutputs


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
    """What scores may be fitted on.

    Attributes:
        outputs: Outputs of all nodes of the graph that the network was trained on.
        graph: That graph.
        train: Training nodes, (n,).
        valid: Validation nodes, (n,); None if there are none.
    """

    outputs: NodeOutputs
    graph: Graph
    train: Mask
    valid: Mask | None = None

    @functools.cached_property
    def gebm(self) -> GEBM:
        """GEBM, fitted once."""
        return GEBM.fit(self.outputs, self.graph, self.train, valid=self.valid)

    @functools.cached_property
    def densities(self) -> ClassDensities:
        """The densities of the classes, fitted once."""
        return ClassDensities.fit(self.outputs, self.graph, self.train)

    @property
    def asked(self) -> Asked:
        """The graph that was trained on as one to ask about."""
        return Asked(self.outputs, self.graph, self.train)


@dataclasses.dataclass(frozen=True, eq=False)
class Asked:
    """What scores are asked about.

    Attributes:
        outputs: Outputs of all nodes of a graph.
        graph: The graph.
        labelled: Nodes of it that were trained on, (n,).
    """

    outputs: NodeOutputs
    graph: Graph
    labelled: Mask
    _known: dict[int, NodeEnergies] = dataclasses.field(default_factory=dict, repr=False)

    def energies(self, gebm: GEBM) -> NodeEnergies:
        """Energies of the nodes, computed once for each fit."""
        if id(gebm) not in self._known:
            self._known[id(gebm)] = gebm.energies(self.outputs, self.graph)
        return self._known[id(gebm)]


Scorer: TypeAlias = Callable[[Asked], Floats]


@dataclasses.dataclass(frozen=True)
class NodeScore:
    """A named uncertainty of nodes.

    Attributes:
        name: Its name.
        summary: One line about it.
        fit: From `Trained` to a function of `Asked` that gives (n,) numbers; larger means more uncertain.
        needs: Name of the optional field of `NodeOutputs` that it reads, empty if none.
        probabilities: Like `fit`, to predictions (n, c); those of the propagated logits by default.
    """

    name: str
    summary: str
    fit: Callable[[Trained], Scorer]
    needs: str = ""
    probabilities: Callable[[Trained], Scorer] = lambda trained: _softmax


def _softmax(asked: Asked) -> Floats:
    return np.asarray(softmax(asked.outputs.logits, axis=1))


def _of_outputs(function: Callable[[NodeOutputs], Floats]) -> Callable[[Trained], Scorer]:
    return lambda trained: lambda asked: function(asked.outputs)


def _nearest_class(field: str) -> Callable[[Trained], Scorer]:
    def fit(trained: Trained) -> Scorer:
        densities = trained.densities
        return lambda asked: densities.distances(getattr(asked.outputs, field)).min(1)

    return fit


def _gebm(part: Callable[[NodeEnergies], Floats]) -> Callable[[Trained], Scorer]:
    return lambda trained: lambda asked: part(asked.energies(trained.gebm))


def _evidential(trained: Trained) -> Scorer:
    def predict(asked: Asked) -> Floats:
        found = asked.energies(trained.gebm)
        return found.evidential if found.calibrated is None else found.calibrated

    return predict


_POOLED = ("gebm-independent", "gebm-group", "energy", "energy-alone", "mahalanobis-alone")


def _pooled(trained: Trained) -> Scorer:
    """Fisher's combination of five scores; the reference are the validation nodes, or all nodes without any."""
    parts = [NODE_SCORES[name].fit(trained) for name in _POOLED]
    nodes = np.ones(trained.graph.num_nodes, bool) if trained.valid is None else trained.valid
    fisher = FisherScore.fit([part(trained.asked)[nodes] for part in parts])
    return lambda asked: fisher([part(asked) for part in parts])


def _mean_prediction(name: str) -> Callable[[Trained], Scorer]:
    return lambda trained: lambda asked: np.asarray(softmax(getattr(asked.outputs, name), axis=2)).mean(0)


def _several(name: str) -> Callable[[Trained], Scorer]:
    return lambda trained: lambda asked: mutual_information(getattr(asked.outputs, name))


_GEBM = {
    "gebm": ("sum of the three energies", lambda found: found.total),
    "gebm-independent": ("energy of the node alone", lambda found: found.independent),
    "gebm-group": ("energy of its surroundings", lambda found: found.group),
    "gebm-local": ("energy of the evidence that neighbours do not share", lambda found: found.local),
}
_LOGITS = {
    "max-softmax": ("minus the largest probability", max_softmax),
    "entropy": ("entropy of the prediction, aleatoric", entropy),
    "energy": ("energy of the logits", logit_energy),
}

NODE_SCORES: Mapping[str, NodeScore] = MappingProxyType(
    {
        score.name: score
        for score in (
            *(NodeScore(n, text, _gebm(part), probabilities=_evidential) for n, (text, part) in _GEBM.items()),
            NodeScore(
                "gebm-fisher",
                "independent and group energy, energy of the logits with and without messages, distance: by ranks",
                _pooled,
                probabilities=_evidential,
            ),
            *(NodeScore(n, text, _of_outputs(lambda o, f=f: f(o.logits))) for n, (text, f) in _LOGITS.items()),
            *(
                NodeScore(f"{n}-alone", f"{text}, without messages", _of_outputs(lambda o, f=f: f(o.alone_logits)))
                for n, (text, f) in _LOGITS.items()
            ),
            NodeScore(
                "gnnsafe", "energy of the logits, diffused", lambda t: lambda a: gnnsafe(a.outputs.logits, a.graph)
            ),
            NodeScore("mahalanobis", "distance from the nearest class", _nearest_class("embeddings")),
            NodeScore("mahalanobis-alone", "the same, without messages", _nearest_class("alone_embeddings")),
            NodeScore(
                "gkde",
                "distance from labelled nodes along the graph",
                lambda t: lambda a: graph_kernel_density(a.graph, a.labelled),
            ),
            NodeScore(
                "mc-dropout",
                "mutual information under dropout",
                _several("dropout_logits"),
                "dropout_logits",
                _mean_prediction("dropout_logits"),
            ),
            NodeScore(
                "ensemble",
                "mutual information among networks",
                _several("ensemble_logits"),
                "ensemble_logits",
                _mean_prediction("ensemble_logits"),
            ),
        )
    }
)


def node_score(name: str) -> NodeScore:
    """The score of a name.

    Raises:
        ArgumentError: There is none.
    """
    if name not in NODE_SCORES:
        raise ArgumentError(f"There is no method {name!r}. {nearest(name, NODE_SCORES)}")
    return NODE_SCORES[name]
