"""The likelihood interval beside its baselines, and log Z, with the ground of every end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from energax.report._blocks import Block, Figures, Section, Table, Text
from energax.report._summary import SummaryLike, part
from energax.report.figures import likelihood_charts, log_z_curve
from energax.report.sections._facts import is_generator, model_name, truth_likelihood
from energax.report.tables import Row, baseline_rows, baselines, is_finite, likelihood_rows, log_z_rows, number

_HOW_TO_READ = (
    "Thick bar: the interval for the mean over the held-out rows. A square bracket ends it where it holds without "
    "assumptions, a round one where equilibrium is assumed, an arrow where there is no ground. Thin lines: two "
    "standard errors over the held-out rows. All are judged on the same rows, so differences are surer than these "
    "lines suggest."
)


_OF_ENERGY = (
    "The log-likelihood of a held-out row is minus its energy minus log Z, the logarithm of the sum over everything "
    "that could have been. That sum is out of reach for a large model, so sampling gives an interval, and each end "
    "says on what ground it stands."
)


def likelihood_section(summary: SummaryLike) -> Section:
    """How well the model predicts held-out rows, as an interval; or how to get there."""
    evaluation = summary.evaluation
    if not evaluation:
        return Section(
            "likelihood", "Likelihood", [Text("Not evaluated yet. Run energax evaluate on this run.", "note")]
        )
    result = part(evaluation, "test_log_likelihood")
    blocks: list[Block] = [Text(_of_generator(result) if is_generator(summary) else _OF_ENERGY)]
    truth = truth_likelihood(summary)
    truths = [] if truth is None else [{"name": "the truth itself", "test_log_likelihood": truth}]
    charts = likelihood_charts(result, [*truths, *baselines(evaluation)], model=model_name(summary) or "model")
    if charts:
        blocks += [Figures(charts), Text(_HOW_TO_READ, "note")]
    if result:
        blocks.append(Table("Test log-likelihood", ("", "value", "meaning"), likelihood_rows(evaluation)))
    else:
        blocks.append(Text("The likelihood is not available: see the warnings.", "note"))
    found = baseline_rows(evaluation)
    if truth is not None:
        found = [Row("the truth itself", f"{number(truth)} nats", "minus its entropy; no model does better"), *found]
    if found:
        blocks.append(Table("Baselines on the same held-out rows", ("baseline", "value", "kind"), found))
    log_z = log_z_rows(evaluation)
    if log_z:
        blocks.append(Table("log Z", ("", "value", "meaning"), log_z))
        if not is_finite(part(evaluation, "log_z").get("exact")):
            blocks.append(
                Text("There is no exact value to compare with: the model is too large to be summed up.", "note")
            )
        curve = log_z_curve(part(evaluation, "log_z"))
        blocks += [Figures([curve], "medium")] if curve else []
    return Section("likelihood", "Likelihood", blocks)


def _of_generator(result: Mapping[str, Any]) -> str:
    """What the likelihood of a generator is, and of which law."""
    rows = f"Over {number(result.get('num_rows'))} held-out rows. " if is_finite(result.get("num_rows")) else ""
    kind = f"It is of the kind: {result['kind']}. " if result.get("kind") else ""
    of = f"It belongs to the law of {result['of']}." if result.get("of") else ""
    return f"{rows}{kind}{of}".strip()
