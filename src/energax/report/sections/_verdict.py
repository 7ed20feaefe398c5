"""The result in one paragraph, the key figures, and the warnings: the head of the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from energax.report._blocks import Card
from energax.report._summary import SummaryLike, part
from energax.report.sections._facts import num_parameters, num_steps, planned_steps, row_names, truth_likelihood
from energax.report.tables import (
    baselines,
    ends,
    factor,
    fixed,
    interval_text,
    is_finite,
    kinds_text,
    measured,
    number,
    plain_name,
    share,
)


def verdict(summary: SummaryLike) -> str:
    """How good the model is, in words that a newcomer understands."""
    result = part(summary.evaluation, "test_log_likelihood")
    if not summary.evaluation:
        return "The model has not been evaluated yet, so nothing can be said about how good it is."
    if not (is_finite(result.get("lower")) or is_finite(result.get("upper"))):
        return "The likelihood is not available: sampling gave neither end of an interval. The warnings say why."
    unit = str(result.get("unit") or "nats")
    one, many = row_names(summary)
    text = f"The model assigns the held-out {many} {interval_text(result)} {unit} each"
    best = next(iter(baselines(summary.evaluation)), None)
    if best is None:
        return f"{text}."
    value = float(best["test_log_likelihood"])
    text += f"; the best baseline ({plain_name(best.get('name'))}) gets {ends(value, value)[0]}."
    text = f"{text} {_comparison(result, value, one)}"
    truth = truth_likelihood(summary)
    return text if truth is None else f"{text} The true density itself would get {number(truth)}."


def cards(summary: SummaryLike) -> list[Card]:
    """The key figures that the summary has, at most six."""
    evaluation = summary.evaluation or {}
    out = [*_likelihood_cards(evaluation), *_kl_card(evaluation), *_log_z_card(evaluation), *_chain_card(evaluation)]
    made, planned = num_steps(summary), planned_steps(summary)
    if made is not None:
        of = f"of {number(planned)} planned" if planned is not None and made < planned else ""
        times = len(summary.events)
        what = f"{number(times)} {'event' if times == 1 else 'events'}" if times else "no events"
        out.append(
            Card("Training", number(made), "step" if made == 1 else "steps", ", ".join(t for t in (of, what) if t))
        )
    if is_finite(num_parameters(summary)):
        out.append(Card("Parameters", number(num_parameters(summary))))
    return out[:6]


def warnings(summary: SummaryLike) -> list[str]:
    """Everything that a reader must know before the numbers: training that failed, and doubts of the evaluation."""
    out = []
    made, planned = num_steps(summary), planned_steps(summary)
    if summary.events:
        first = summary.events[0]
        times = len(summary.events)
        step = first.get("began", first.get("step"))
        began = f"; the first began at step {number(step)}" if is_finite(step) else ""
        noun = "one event" if times == 1 else f"{number(times)} events"
        out.append(f"Training was disturbed by {noun}{began}. The section on training tells what was seen and done.")
    if made is not None and planned is not None and made < planned:
        out.append(f"Training stopped at step {number(made)} of {number(planned)}.")
    said = [str(sentence) for sentence in (summary.evaluation or {}).get("warnings") or []]
    out.extend(sentence[:1].upper() + sentence[1:] for sentence in said)
    return list(dict.fromkeys(out))


def _comparison(result: Mapping[str, Any], baseline: float, one: str) -> str:
    lower, upper = result.get("lower"), result.get("upper")
    if is_finite(lower) and float(lower) > baseline:
        gap = float(lower) - baseline
        better = fixed(gap, 2 if gap < 10 else 1)
        text = (
            f"That is at least {better} nats better: a typical held-out {one} is about {factor(gap)} as likely under "
        )
        text += "the model as under the baseline"
        if result.get("lower_kind") == "assumes-equilibrium":
            return f"{text}, provided that the chains behind the lower end were in equilibrium."
        if result.get("lower_kind") == "none":
            return f"{text}, but there is no ground for the lower end."
        return f"{text}."
    if is_finite(upper) and float(upper) < baseline:
        gap = baseline - float(upper)
        return f"That is worse than the baseline by at least {fixed(gap, 2)} nats: the model has not learned the data."
    if not is_finite(lower):
        return "Without a lower end it cannot be said whether the model beats the baseline."
    return "The interval holds the baseline's value, so it cannot be said which of the two is better."


def _likelihood_cards(evaluation: Mapping[str, Any]) -> list[Card]:
    result = part(evaluation, "test_log_likelihood")
    out = []
    if result:
        unit = str(result.get("unit") or "nats")
        level = f"{share(result['level'])}, " if is_finite(result.get("level")) else ""
        out.append(Card("Test log-likelihood", interval_text(result), unit, f"{level}{kinds_text(result)}".strip(", ")))
    for baseline in baselines(evaluation)[:1]:
        value = float(baseline["test_log_likelihood"])
        out.append(Card("Best baseline", ends(value, value)[0], "nats", plain_name(baseline.get("name"))))
    return out


def _kl_card(evaluation: Mapping[str, Any]) -> list[Card]:
    found = evaluation.get("kl")
    value = found.get("value") if isinstance(found, Mapping) else found
    return [Card("KL(truth‖model)", number(value, significant=2), "nats", "0 is perfect")] if is_finite(value) else []


def _log_z_card(evaluation: Mapping[str, Any]) -> list[Card]:
    result = part(evaluation, "log_z")
    if not is_finite(result.get("value")):
        return []
    exact = result.get("exact")
    note = f"exact: {number(exact, significant=6)}" if is_finite(exact) else kinds_text(result)
    return [Card("log Z", measured(result["value"], result.get("stderr")), "nats", note)]


def _chain_card(evaluation: Mapping[str, Any]) -> list[Card]:
    found = part(part(evaluation, "sample_quality"), "diagnostics")
    if not is_finite(found.get("r_hat")):
        return []
    ess = found.get("ess")
    note = f"{number(round(float(ess)))} effective draws" if is_finite(ess) else ""
    return [Card("R-hat of the chains", number(found["r_hat"]), "", note)]
