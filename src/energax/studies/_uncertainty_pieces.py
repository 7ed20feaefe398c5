"""The pieces of a study of uncertainty: networks that are trained once, and what each split of a shift gives."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64

from energax._errors import DataError
from energax.estimators import auc_pr, auc_roc, brier_score, calibration_error
from energax.random import fast_key
from energax.runs import Pieces
from energax.studies._uncertainty_plan import UncertaintyPlan
from energax.systems import (
    NAMED_GRAPHS,
    NETWORKS,
    NODE_SCORES,
    AbstractGraphNetwork,
    Asked,
    Graph,
    NetworkInput,
    NodeOutputs,
    NodeSplit,
    ShiftedGraph,
    Trained,
    network_input,
    node_outputs,
    shift,
    split_nodes,
    train_network,
)

METRICS = ("auc_roc", "auc_pr", "stderr", "accuracy", "ece", "brier")
CLEAN = ("clean", "in_distribution", "out_of_distribution")
_DROPOUT_PASSES = 50
Arrays = dict[str, np.ndarray]
Tell = Callable[[str, float, float], None]


@dataclasses.dataclass
class Laboratory:
    """One graph, its plan and its finished pieces.

    Attributes:
        plan: What is asked.
        graph: The graph.
        folder: Where pieces are kept, None for memory only.
        tell: Called with (what is done, work done, all work).
    """

    plan: UncertaintyPlan
    graph: Graph
    folder: Path | None
    tell: Tell

    def __post_init__(self) -> None:
        self.pieces = Pieces(None if self.folder is None else self.folder / "pieces")
        self.done = 0

    @functools.cached_property
    def structure(self) -> NetworkInput:
        """The whole graph as networks read it."""
        return network_input(shift("homophily")(self.graph).after)

    def results(self, name: str, split: int) -> Arrays:
        """Metrics of every method and network of one split of a shift; see `METRICS` and `CLEAN`.

        `values` (method, metric, network), `clean` (kind, network); of the first network also `ood` and `scores`
        (method, test node), and the first method's `nodes` and `every_ood` at every node of the graph.
        """
        made = self.pieces.get(f"{name}-{split}", lambda: self._make(name, split))
        self.done += 1
        self.tell(name, self.done, len(self.plan.shifts) * self.plan.splits)
        return dict(made)

    def _make(self, name: str, split: int) -> Arrays:
        number = self.plan.seed * 1000 + split
        left_out = NAMED_GRAPHS[self.plan.graph].num_left_out if self.plan.graph in NAMED_GRAPHS else None
        shifted = shift(name)(self.graph, seed=number, num_left_out=left_out)
        nodes = split_nodes(self.graph, seed=number, ood=shifted.ood, test_seed=self.plan.seed)
        tested = shifted.ood[nodes.test]
        if tested.all() or not tested.any():
            raise DataError(
                f"Under {name} {int(tested.sum())} of the {tested.size} test nodes are out of distribution: there is "
                "nothing to tell apart."
            )
        before, inside = network_input(shifted.before), nodes.within(~shifted.ood)
        after = network_input(shifted.after, self.structure)
        networks = [self._network(name, split, k, shifted, before, inside) for k in range(self.plan.inits)]
        pairs = [self._outputs(network, before, after, k) for k, network in enumerate(networks)]
        if "ensemble" in self.plan.methods:
            # One ensemble a split, of all its networks; the others are asked without.
            every = np.stack([new.logits for _, new in pairs])
            pairs[0] = pairs[0][0], dataclasses.replace(pairs[0][1], ensemble_logits=every)
        return self._judge(shifted, nodes, inside, pairs)

    def _network(
        self, name: str, split: int, init: int, shifted: ShiftedGraph, before: NetworkInput, inside: NodeSplit
    ) -> AbstractGraphNetwork:
        """The network of one initialisation, trained once; shifts of features share theirs."""
        family = name if shift(name).features is None else "features"
        start_key, key = jax.random.split(jax.random.fold_in(fast_key(self.plan.seed), split * 1000 + init))
        start = NETWORKS[self.plan.model](self.graph.num_features, shifted.before.num_classes, key=start_key)
        leaves, form = jax.tree.flatten(eqx.filter(start, eqx.is_inexact_array))

        def train() -> Arrays:
            found = train_network(
                start, shifted.before, inside.train, inside.valid, key=key, inputs=before,
                progress=lambda epoch, _: self.tell(f"{name}, network {init + 1}, epoch {epoch}", self.done, 0),
            )  # fmt: skip
            weights = jax.tree.leaves(eqx.filter(found.network, eqx.is_inexact_array))
            curves = {"train_loss": found.train_loss, "valid_loss": found.valid_loss}
            return {f"weight{i}": np.asarray(w) for i, w in enumerate(weights)} | curves

        kept = self.pieces.get(f"network-{family}-{split}-{init}", train)
        weights = [jnp.asarray(kept[f"weight{i}"]) for i in range(len(leaves))]
        return eqx.combine(jax.tree.unflatten(form, weights), start)

    def _outputs(
        self, network: AbstractGraphNetwork, before: NetworkInput, after: NetworkInput, init: int
    ) -> tuple[NodeOutputs, NodeOutputs]:
        passes = _DROPOUT_PASSES if "mc-dropout" in self.plan.methods else 0
        key = jax.random.fold_in(fast_key(self.plan.seed), 500_000 + init)
        return node_outputs(network, before), node_outputs(network, after, num_dropout=passes, key=key)

    def _judge(
        self, shifted: ShiftedGraph, nodes: NodeSplit, inside: NodeSplit, pairs: list[tuple[NodeOutputs, NodeOutputs]]
    ) -> Arrays:
        plan, labels = self.plan, self.graph.labels
        values = np.full((len(plan.methods), len(METRICS), plan.inits), np.nan)
        clean = np.full((len(CLEAN), plan.inits), np.nan)
        first: Arrays = {"ood": shifted.ood[nodes.test], "every_ood": shifted.ood}
        for k, (old, new) in enumerate(pairs):
            trained = Trained(old, shifted.before, inside.train, inside.valid)
            asked = Asked(new, shifted.after, nodes.train)
            found = [judge(method, trained, asked, shifted.ood, nodes.test) for method in plan.methods]
            values[:, :, k] = [metrics for metrics, _ in found]
            hit = new.logits.argmax(1) == labels
            clean[:, k] = [
                (old.logits.argmax(1) == shifted.before.labels)[inside.test].mean(),
                hit[nodes.test & ~shifted.ood].mean(),
                hit[known].mean() if (known := nodes.test & shifted.ood & (labels < new.num_classes)).any() else np.nan,
            ]
            if k == 0:
                first["scores"] = np.stack([scores[nodes.test] for _, scores in found]).astype(np.float32)
                first["nodes"] = found[0][1]
        return {"values": values, "clean": clean, **first}


def judge(
    method: str, trained: Trained, asked: Asked, ood: np.ndarray, test: np.ndarray
) -> tuple[list[float], Float64[np.ndarray, " n"]]:
    """`METRICS` of a method on the test nodes, and its score of every node; NaN where outputs are missing."""
    score = NODE_SCORES[method]
    if score.needs and getattr(asked.outputs, score.needs) is None:
        return [np.nan] * len(METRICS), np.zeros(asked.graph.num_nodes)
    scores = score.fit(trained)(asked)
    roc, pr = auc_roc(scores[test], ood[test]), auc_pr(scores[test], ood[test])
    known = test & ~ood
    p, y = score.probabilities(trained)(asked)[known], asked.graph.labels[known]
    hit = float((p.argmax(1) == y).mean())
    return [roc.value, pr.value, roc.stderr, hit, calibration_error(p, y).value, brier_score(p, y).value], scores
