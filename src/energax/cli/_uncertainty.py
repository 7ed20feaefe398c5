"""``energax uncertainty``."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from energax import report, runs, studies, systems
from energax._files import replace_arrays, replace_file
from energax.cli._output import Output
from energax.cli._parse import flat, parse
from energax.studies import UncertaintyPlan
from energax.systems import NAMED_GRAPHS, NETWORKS, NODE_SCORES, SHIFTS


def uncertainty(arguments: Sequence[str]) -> int:
    """Ask which scores of nodes know what is out of distribution, and write a page about it."""
    cls = flat(
        "Uncertainty",
        [
            ("model", str, "gcn", f"One of: {', '.join(NETWORKS)}."),
            ("outputs", str | None, None, "Outputs of a network of your own instead: an .npz file."),
            ("method", str, "all", f"Several with commas between them, or all: {', '.join(NODE_SCORES)}."),
            ("shift", str, "all", f"Several with commas between them, or all: {', '.join(SHIFTS)}."),
            ("splits", int, 5, "Splits into training and validation nodes."),
            ("inits", int, 5, "Networks for each split."),
            ("seed", int, 0, "Seed of everything random, the test nodes too."),
            ("out", str | None, None, "Directory of the results; runs/uncertainty-GRAPH-N by default."),
            ("json", bool, False, "Print one JSON object on stdout and nothing else."),
        ],
        positional=[("graph", str, ..., f"An .npz file, or one of: {', '.join(NAMED_GRAPHS)}.")],
    )
    asked: Any = parse(cls, arguments, "uncertainty", _DESCRIPTION)
    plan = studies.plan_uncertainty(
        asked.graph, method=asked.method, shift=asked.shift, model=asked.model, outputs=asked.outputs,
        splits=asked.splits, inits=asked.inits, seed=asked.seed,
    )  # fmt: skip
    systems.load_graph(plan.graph)
    if asked.out is not None and UncertaintyPlan.is_in(asked.out):
        directory = Path(asked.out)
    else:
        directory = runs.fresh_directory(asked.out, "uncertainty", Path(plan.graph).stem)
    try:
        plan.save(directory)
        return run_uncertainty(plan, directory, Output(json=asked.json))
    finally:
        if not any((directory / name).exists() for name in ("pieces", "report.html")):
            # Nothing was computed: what was refused or stopped leaves no trace.
            shutil.rmtree(directory, ignore_errors=True)


def run_uncertainty(plan: UncertaintyPlan, directory: Path, output: Output) -> int:
    """Run a plan, or what is left of it, and write its results and its page."""
    go_on = f"Continue with: energax resume {shlex.quote(str(directory))}"
    try:
        with output.working("Uncertainty") as progress:
            found = studies.uncertainty(
                plan, directory=directory, progress=lambda stage, done, total: progress(stage, int(done), int(total))
            )
    except KeyboardInterrupt:
        if not (directory / "pieces").exists():
            raise
        output.say(f"Stopped and saved. {go_on}")
        return 130
    told = found.to_json()
    replace_file(directory / "results.json", (json.dumps(told, indent=2, allow_nan=False) + "\n").encode())
    if plan.outputs is not None:
        every = found.first["given"]["every"]
        replace_arrays(directory / "nodes.npz", dict(zip(plan.methods, every, strict=True)))
    path = report.write_uncertainty(found, directory / "report.html")
    if output.json:
        output.print_json({"directory": str(directory), "report": str(path), **told})
    else:
        for note in found.graph.notes:
            output.say(f"note: {note}")
        for title, head, rows in report.uncertainty_tables(found, spread=False):
            output.out.print(f"\n{title}", markup=False)
            output.columns([name.replace("-", "-\n") for name in head], rows)
        output.show_path(path)
    if found.interrupted:
        output.say(f"Stopped and saved. {go_on}")
        return 130
    return 0


_DESCRIPTION = (
    "Train a graph network on few labels, make some nodes of the graph unlike the others, and see which scores know "
    "them: AUC-ROC and AUC-PR over splits and initialisations. With --outputs the network is yours; the file has "
    "logits, embeddings, alone_logits, alone_embeddings (without messages) and the mask train, a row for each node, "
    "and may have the masks valid, test and ood. An interrupted study goes on with `energax resume`."
)
