"""The short table of a run: what the terminal prints and what the head of the page says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from energax.report._summary import part
from energax.report.tables._likelihood import (
    baseline_rows,
    interval_text,
    kl_rows,
    likelihood_rows,
    log_z_rows,
    plain_name,
)
from energax.report.tables._numbers import MISSING, is_finite, number, share
from energax.report.tables._row import Row


def overview_rows(evaluation: Mapping[str, Any] | None) -> list[Row]:
    """The result of an evaluation in a dozen lines: data, model, likelihood, log Z, baselines, divergence.

    Args:
        evaluation: What ``energax evaluate --json`` prints; None or empty gives no rows.
    """
    if not evaluation:
        return []
    out = [
        Row("data", number(evaluation.get("data")), _test_note(evaluation)),
        Row("model", number(evaluation.get("model")), _parameter_note(evaluation)),
    ]
    for row in likelihood_rows(evaluation) or [Row("test log-likelihood", MISSING)]:
        if row.label == "test log-likelihood":
            out.append(row._replace(note=_ends_note(part(evaluation, "test_log_likelihood"))))
        elif row.label.startswith("spread"):
            out.append(row._replace(note="another test set would move it by this; no part of the interval"))
        elif row.label.startswith("bits"):
            out.append(row)
    out += [Row(f"baseline: {row.label}", row.value) for row in baseline_rows(evaluation)]
    for row in log_z_rows(evaluation):
        if row.label.startswith("log Z"):
            is_interval = row.label.endswith("interval")
            out.append(row._replace(note=_ends_note(part(evaluation, "log_z"))) if is_interval else row)
    return out + kl_rows(evaluation)[:1]


def kinds_text(interval: Mapping[str, Any]) -> str:
    """``certified / assumes-equilibrium``: the kinds of the lower and the upper end."""
    if not interval or interval_text(interval) == MISSING:
        return ""
    return f"{interval.get('lower_kind')} / {interval.get('upper_kind')}"


def config_rows(config: Mapping[str, Any]) -> list[Row]:
    """The settings of a run, one row a part (data, model, objective, kernel, training, seed).

    Args:
        config: As in config.json.
    """
    out = []
    for name in ("data", "model", "objective", "kernel", "training"):
        settings = part(config, name)
        title = str(settings.get("name") or settings.get("source") or "")
        options = [
            f"{key.replace('_', '-')} {_setting(value)}"
            for key, value in settings.items()
            if key not in {"name", "source", "fingerprint"} and isinstance(value, str | int | float | bool)
        ]
        if title or options:
            value, *rest = [title, *options] if title else options
            out.append(Row(name, value, ", ".join(rest)))
    if config.get("seed") is not None:
        out.append(Row("seed", str(config["seed"])))
    return out


def environment_rows(environment: Mapping[str, Any]) -> list[Row]:
    """Versions and platform, one row each.

    Args:
        environment: Versions of energax, jax, jaxlib, python, numpy; platform; number of CPUs; backend; generator.
    """
    return [
        Row(plain_name(name), MISSING if value in (None, "") else str(value)) for name, value in environment.items()
    ]


def event_rows(events: Sequence[Mapping[str, Any]]) -> list[Row]:
    """What happened during training, numbered: the step, what was seen, and what was done about it.

    Args:
        events: Mappings with `kind`, `step`, `began`, `message`, `action`.
    """
    out = []
    for place, event in enumerate(events, start=1):
        step, began = event.get("step"), event.get("began")
        when = f"{place}. step {number(step)}" if is_finite(step) else f"{place}."
        when += f" (since {number(began)})" if is_finite(began) and began != step else ""
        message = str(event.get("message") or plain_name(event.get("kind")))
        out.append(Row(when, message, str(event.get("action") or "")))
    return out


def _ends_note(interval: Mapping[str, Any]) -> str:
    """``95 %; lower end certified, upper end exact``."""
    if not interval or interval_text(interval) == MISSING:
        return ""
    ends = f"lower end {interval.get('lower_kind')}, upper end {interval.get('upper_kind')}"
    return f"{share(interval['level'])}; {ends}" if is_finite(interval.get("level")) else ends


def _setting(value: Any) -> str:
    """A setting as it was typed: no rounding, no padding."""
    return f"{value:g}".replace("-", "\u2212") if isinstance(value, float) else number(value)


def _test_note(evaluation: Mapping[str, Any]) -> str:
    count = evaluation.get("num_test")
    return f"{number(count)} held-out rows" if count is not None else ""


def _parameter_note(evaluation: Mapping[str, Any]) -> str:
    count = evaluation.get("num_parameters")
    return f"{number(count)} parameters" if count is not None else ""
