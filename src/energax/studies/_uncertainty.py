"""Studies of uncertainty: every method under every shift, over splits and initialisations."""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from energax._errors import ArgumentError, DataError
from energax.runs import plain
from energax.studies._uncertainty_pieces import CLEAN, METRICS, Arrays, Laboratory, Tell, judge
from energax.studies._uncertainty_plan import UncertaintyPlan
from energax.systems import NODE_SCORES, Asked, Graph, NodeOutputs, Trained, load_graph

_OUTPUTS = ("logits", "embeddings", "alone_logits", "alone_embeddings")
_OPTIONAL = ("dropout_logits", "ensemble_logits")


@dataclasses.dataclass(frozen=True, eq=False)
class Uncertainty:
    """What a study found.

    Attributes:
        plan: What was asked.
        graph: The graph.
        results: From method to shift to ``auc_roc``, ``auc_pr``, ``stderr`` (DeLong's, of ``auc_roc``, for the test
            nodes alone), and of the in-distribution test nodes ``accuracy``, ``ece``, ``brier``; each {mean, std, n}.
        accuracy: From shift to ``clean`` (before the shift), ``in_distribution`` and ``out_of_distribution`` (after).
        first: From shift to what the first network of the first split gave: ``ood`` and ``scores`` (method, node) of
            the test nodes, ``every_ood`` and the first method's ``nodes`` of all.
        interrupted: Whether shifts are missing because it was stopped.
    """

    plan: UncertaintyPlan
    graph: Graph
    results: dict[str, dict[str, dict[str, Any]]]
    accuracy: dict[str, dict[str, Any]]
    first: dict[str, Arrays]
    interrupted: bool = False

    def to_json(self) -> dict[str, Any]:
        """The results without arrays; what is not known becomes None."""
        told = {
            "graph": self.plan.graph,
            "nodes": self.graph.num_nodes,
            "edges": self.graph.num_edges,
            "classes": self.graph.num_classes,
            "model": None if self.plan.outputs else self.plan.model,
            "splits": self.plan.splits,
            "inits": self.plan.inits,
            "seed": self.plan.seed,
            "result": "interrupted" if self.interrupted else "successful",
        }
        return plain({**told, "results": self.results, "accuracy": self.accuracy, "notes": self.graph.notes})


def uncertainty(plan: UncertaintyPlan, *, directory: Path | None = None, progress: Tell | None = None) -> Uncertainty:
    """Train, shift and score as a plan says.

    Every trained network and every finished split of a shift is kept in the directory: the same plan goes on behind
    them, and finds what it would have found without the interruption. An interrupt from the keyboard returns the
    shifts that are whole, if there are any.

    Args:
        plan: From `plan_uncertainty`.
        directory: Where pieces are kept; in memory only without it.
        progress: Called with (what is done, work done, all work).

    Raises:
        DataError: The graph or the outputs cannot be used.
        KeyboardInterrupt: Before anything was found.
    """
    graph = load_graph(plan.graph)
    if plan.outputs is not None:
        return _given(plan, graph, Path(plan.outputs))
    laboratory = Laboratory(plan, graph, directory, progress or (lambda stage, done, total: None))
    found: dict[str, list[Arrays]] = {}
    interrupted = False
    try:
        for name in plan.shifts:
            found[name] = [laboratory.results(name, split) for split in range(plan.splits)]
    except KeyboardInterrupt:
        interrupted = True
        if not found:
            raise
    results = {
        method: {name: _metrics(pieces, m) for name, pieces in found.items()} for m, method in enumerate(plan.methods)
    }
    accuracy = {
        name: {kind: _summary(np.stack([p["clean"][i] for p in pieces])) for i, kind in enumerate(CLEAN)}
        for name, pieces in found.items()
    }
    return Uncertainty(plan, graph, results, accuracy, {n: p[0] for n, p in found.items()}, interrupted)


def _metrics(pieces: list[Arrays], method: int) -> dict[str, Any]:
    return {metric: _summary(np.stack([p["values"][method, i] for p in pieces])) for i, metric in enumerate(METRICS)}


def _summary(values: np.ndarray) -> dict[str, Any]:
    """Mean and standard deviation over the runs that have a value."""
    known = values[np.isfinite(values)]
    std = float(known.std(ddof=1)) if known.size > 1 else np.nan
    return {"mean": float(known.mean()) if known.size else np.nan, "std": std, "n": int(known.size)}


def _given(plan: UncertaintyPlan, graph: Graph, path: Path) -> Uncertainty:
    """Scores from the outputs of another network; metrics where the file says which nodes are out of distribution."""
    outputs, masks = _read_outputs(path, graph)
    ood = masks.get("ood", np.zeros(graph.num_nodes, bool))
    test = masks.get("test", ~masks["train"])
    inside = graph if "ood" not in masks else graph.subgraph(~ood)
    old = outputs if "ood" not in masks else outputs.of(~ood)
    valid = masks["valid"][~ood] if "valid" in masks else None
    trained, asked = Trained(old, inside, masks["train"][~ood], valid), Asked(outputs, graph, masks["train"])
    results, scores = {}, []
    for method in plan.methods:
        if NODE_SCORES[method].needs and getattr(outputs, NODE_SCORES[method].needs) is None:
            raise ArgumentError(f"The method {method} needs {NODE_SCORES[method].needs}, which {path} does not have.")
        if ood[test].any() and not ood[test].all():
            metrics, every = judge(method, trained, asked, ood, test)
        else:
            metrics, every = [np.nan] * len(METRICS), NODE_SCORES[method].fit(trained)(asked)
        results[method] = {"given": {k: _summary(np.asarray([v])) for k, v in zip(METRICS, metrics, strict=True)}}
        scores.append(every)
    hit = outputs.logits.argmax(1) == graph.labels
    accuracy = {"given": {"in_distribution": _summary(np.asarray([hit[test & ~ood].mean()]))}}
    first = {"ood": ood[test], "every_ood": ood, "scores": np.stack(scores)[:, test], "nodes": scores[0]}
    return Uncertainty(plan, graph, results, accuracy, {"given": {**first, "every": np.stack(scores)}})


def _read_outputs(path: Path, graph: Graph) -> tuple[NodeOutputs, dict[str, Bool[np.ndarray, " n"]]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError as error:
        raise DataError(f"There is no file {path}.") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read as outputs ({error}).") from error
    missing = [name for name in (*_OUTPUTS, "train") if name not in arrays]
    if missing:
        raise DataError(
            f"{path} lacks {', '.join(missing)}: it needs {', '.join(_OUTPUTS)} with a row for each node, the mask "
            f"train, and may have the masks valid, test and ood, {' and '.join(_OPTIONAL)}."
        )
    masks = {n: _mask(f"{n} in {path}", arrays[n], graph) for n in ("train", "valid", "test", "ood") if n in arrays}
    _check_masks(masks, path, graph)
    outputs = NodeOutputs(**{name: arrays[name] for name in (*_OUTPUTS, *_OPTIONAL) if name in arrays})
    if outputs.num_nodes != graph.num_nodes:
        raise DataError(f"{path} has outputs of {outputs.num_nodes} nodes, but the graph has {graph.num_nodes}.")
    return outputs, masks


def _mask(name: str, array: np.ndarray, graph: Graph) -> Bool[np.ndarray, " n"]:
    """A mask over the nodes."""
    if array.shape != (graph.num_nodes,):
        raise DataError(f"{name} has the shape {array.shape}, but the graph has {graph.num_nodes} nodes.")
    if array.dtype.kind not in "biuf" or not np.isin(array, (0, 1)).all():
        raise DataError(f"{name} must hold truth values, or zeros and ones.")
    return array.astype(bool)


def _check_masks(masks: dict[str, Bool[np.ndarray, " n"]], path: Path, graph: Graph) -> None:
    """Masks are not empty, what is out of distribution was not learned, and the classes that were come first."""
    empty = [name for name in ("train", "valid", "test") if name in masks and not masks[name].any()]
    if empty:
        raise DataError(f"{empty[0]} in {path} holds no node.")
    if "ood" not in masks:
        return
    ood = masks["ood"]
    if both := int((masks["train"] & ood).sum()):
        raise DataError(f"{both} nodes in {path} are both in train and in ood.")
    known = np.unique(graph.labels[~ood])
    if known[-1] >= known.size:
        raise DataError(
            f"The classes of the nodes in distribution in {path} must come first: they go up to {known[-1]}, and "
            f"there are {known.size}."
        )
