"""The likelihood interval, log Z, the baselines and the divergence as rows, each end with the ground it stands on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from energax.report._summary import part
from energax.report.tables._numbers import MISSING, ends, is_finite, measured, number, share
from energax.report.tables._row import Row

# One direction of annealing gives the lower end of log Z and therefore the upper end of the likelihood.
_GROUNDS: dict[tuple[str, str], str] = {
    ("exact", "forward"): "Computed over every configuration, without sampling.",
    ("exact", "reverse"): "Computed over every configuration, without sampling.",
    ("certified", "forward"): (
        "Holds with the stated probability however slowly the chains mix: the annealing weights are right on average, "
        "and the bound needs nothing else of them."
    ),
    ("certified", "reverse"): (
        "Holds with the stated probability whatever the mixing: the reverse annealing began at exact draws of the "
        "model."
    ),
    ("assumes-equilibrium", "forward"): (
        "Holds with the stated probability if the chains behind it were in equilibrium, which they cannot prove."
    ),
    ("assumes-equilibrium", "reverse"): (
        "Holds with the stated probability if the chains that started the reverse annealing were in equilibrium. "
        "Chains from the data and from annealing have to agree for that; agreement supports it and does not prove it."
    ),
    ("bound", "reverse"): "The model gives a lower bound by itself, which holds in the mean over its random latents.",
    ("none", "forward"): "No ground for this end: do not lean on it.",
    ("none", "reverse"): (
        "No ground for this end: there were no draws of the model from which annealing could be run backwards."
    ),
}
_KL_REMARKS = {
    "grid_error": "What half the resolution would change.",
    "model_mass_outside": "Share of the model beyond the grid that holds the truth.",
}


def ground(kind: Any, direction: str) -> str:
    """One sentence on what an end of an interval assumes.

    Args:
        kind: ``"exact"``, ``"certified"``, ``"assumes-equilibrium"`` or ``"none"``.
        direction: ``"forward"`` for the lower end of log Z and the upper end of a likelihood, ``"reverse"`` for the
            other two.

    Returns:
        The sentence; for an unknown kind, one that says so.
    """
    return _GROUNDS.get((str(kind), direction), f"The kind of this end is not known ({kind}): do not lean on it.")


def interval_text(interval: Mapping[str, Any]) -> str:
    """``−25.42 to −25.11`` for a mapping with `lower` and `upper`; an open end is said in words."""
    if not interval:
        return MISSING
    lower, upper = ends(interval.get("lower"), interval.get("upper"))
    has_lower, has_upper = is_finite(interval.get("lower")), is_finite(interval.get("upper"))
    if has_lower and has_upper:
        return lower if lower == upper else f"{lower} to {upper}"
    if has_lower:
        return f"at least {lower}"
    return f"at most {upper}" if has_upper else MISSING


def likelihood_rows(evaluation: Mapping[str, Any] | None) -> list[Row]:
    """The test log-likelihood: the interval, its two ends, the spread over test rows, bits per dimension.

    Args:
        evaluation: What ``energax evaluate --json`` prints; None or empty gives no rows.
    """
    result = part(evaluation, "test_log_likelihood")
    if not result:
        return []
    unit = str(result.get("unit") or "nats")
    lower, upper = ends(result.get("lower"), result.get("upper"))
    out = [
        Row("test log-likelihood", _with_unit(interval_text(result), unit), _level_note(result)),
        _end_row("lower end", lower, result, "lower", "reverse"),
        _end_row("upper end", upper, result, "upper", "forward"),
        Row(
            "spread over test rows",
            f"± {number(result.get('stderr_test'), significant=2)}"
            if is_finite(result.get("stderr_test"))
            else MISSING,
            "Standard error of the mean over the held-out rows: another test set would move the number by about this "
            "much. It is no part of the interval.",
        ),
    ]
    bits = result.get("bits_per_dim")
    if isinstance(bits, Mapping):
        how = bits.get("dequantisation")
        note = f"Lower is better. Noise that makes the levels continuous: {how}." if how else "Lower is better."
        out.append(Row("bits per dimension", interval_text(bits), note))
    elif bits is not None:
        out.append(Row("bits per dimension", number(bits), "Lower is better."))
    return out


def log_z_rows(evaluation: Mapping[str, Any] | None) -> list[Row]:
    """Log Z: the estimate, the interval with its two ends, the exact value where it is known, the measure.

    Args:
        evaluation: What ``energax evaluate --json`` prints; None or empty gives no rows.
    """
    result = part(evaluation, "log_z")
    if not result:
        return []
    lower, upper = ends(result.get("lower"), result.get("upper"))
    out = [
        Row("log Z, estimate", _with_unit(measured(result.get("value"), result.get("stderr")), "nats"), _why(result)),
        Row("log Z, interval", _with_unit(interval_text(result), "nats"), _level_note(result)),
        _end_row("lower end", lower, result, "lower", "forward"),
        _end_row("upper end", upper, result, "upper", "reverse"),
    ]
    exact = result.get("exact")
    if is_finite(exact):
        out.append(Row("log Z, exact", f"{number(exact, significant=7)} nats", _holds(result, float(exact))))
    if result.get("measure"):
        out.append(Row("reference measure", str(result["measure"]), "log Z is relative to this measure."))
    return out


def baseline_rows(evaluation: Mapping[str, Any] | None) -> list[Row]:
    """The baselines, best first, each with its spread over the same test rows.

    Args:
        evaluation: What ``energax evaluate --json`` prints; None or empty gives no rows.
    """
    unit = str(part(evaluation, "test_log_likelihood").get("unit") or "nats")
    out = []
    for baseline in baselines(evaluation):
        value = measured(baseline["test_log_likelihood"], baseline.get("stderr_test"))
        note = str(baseline.get("note") or "normalised, needs no sampling")
        out.append(Row(plain_name(baseline.get("name")), _with_unit(value, unit), note))
    return out


def baselines(evaluation: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """The baselines that have a finite likelihood, best first."""
    found = (evaluation or {}).get("baselines") or []
    known = [b for b in found if isinstance(b, Mapping) and is_finite(b.get("test_log_likelihood"))]
    return sorted(known, key=lambda b: -float(b["test_log_likelihood"]))


def kl_rows(evaluation: Mapping[str, Any] | None) -> list[Row]:
    """KL(truth‖model) where the truth is known.

    Args:
        evaluation: What ``energax evaluate --json`` prints; without ``kl`` there are no rows.
    """
    found = (evaluation or {}).get("kl")
    result = found if isinstance(found, Mapping) else ({"value": found} if is_finite(found) else {})
    if not result:
        return []
    text = measured(result.get("value"), result.get("stderr"))
    note = "How many nats a point costs when the model stands for the truth; 0 is perfect. Both normalised on a grid."
    out = [Row("KL(truth‖model)", _with_unit(text, "nats"), note)]
    for name, value in result.items():
        if name not in {"value", "stderr", "unit", "warnings", "kind"} and (is_finite(value) or isinstance(value, str)):
            text = share(value) if name == "model_mass_outside" else number(value, significant=2)
            out.append(Row(plain_name(name), text, _KL_REMARKS.get(name, "")))
    return out


def mode_masses(evaluation: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """The modes whose true mass is known, in their own order."""
    found = (evaluation or {}).get("mode_masses") or []
    return [m for m in found if isinstance(m, Mapping) and is_finite(m.get("truth"))]


def mode_mass_rows(evaluation: Mapping[str, Any] | None) -> list[Row]:
    """For each known mode: the mass that the model gives it, beside the truth and the share of the chains in it.

    Args:
        evaluation: What ``energax evaluate --json`` prints; without ``mode_masses`` there are no rows.
    """
    return [
        Row(
            f"mode {mode.get('mode', place)}",
            share(mode.get("model"), decimals=1),
            f"truth {share(mode['truth'], decimals=1)}; chains {share(mode.get('chains'), decimals=1)}",
        )
        for place, mode in enumerate(mode_masses(evaluation), start=1)
    ]


def plain_name(name: Any) -> str:
    """A name of the machine in the reader's spelling: ``num_test_copies`` becomes ``number of test copies``."""
    text = str(name or "").replace("_", " ").strip()
    return f"number of {text.removeprefix('num ')}" if text.startswith("num ") else text or "unnamed"


def _end_row(label: str, text: str, result: Mapping[str, Any], side: str, direction: str) -> Row:
    kind = result.get(f"{side}_kind")
    open_end = not is_finite(result.get(side))
    return Row(f"{label} ({kind})", "none" if open_end else text, ground(kind, direction))


def _level_note(result: Mapping[str, Any]) -> str:
    level = result.get("level")
    return f"both ends hold together with probability {share(level)}" if is_finite(level) else ""


def _with_unit(text: str, unit: str) -> str:
    return text if text == MISSING else f"{text} {unit}"


def _why(result: Mapping[str, Any]) -> str:
    if not is_finite(result.get("value")):
        return "The annealing gave no finite estimate; the warnings say why."
    return "from sampling" if is_finite(result.get("stderr")) else "from sampling; no error bar, the warnings say why"


def _holds(result: Mapping[str, Any], exact: float) -> str:
    lower, upper = result.get("lower"), result.get("upper")
    above = not is_finite(lower) or float(lower) <= exact
    below = not is_finite(upper) or exact <= float(upper)
    where = "inside the interval" if above and below else "OUTSIDE the interval"
    return f"by enumeration or quadrature; {where}"
