"""Chain diagnostics and sample quality as rows, each with a verdict in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from energax.report._summary import part
from energax.report.tables._likelihood import plain_name
from energax.report.tables._numbers import MISSING, is_finite, measured, number, share
from energax.report.tables._row import Row

_ACCEPTED_BY_CONSTRUCTION = frozenset({"blockgibbs", "heatbath", "gibbs", "ula"})
_REMARKS = {
    "mmd_squared": "Squared maximum mean discrepancy between samples and held-out rows; about 0 when their laws agree.",
    "mmd_squared_of_training_rows": "The same for training rows: what perfect samples would get.",
    "p_value": "How often random groups of these rows differ at least as much; small: the samples can be told apart.",
    "share_closer": "Probability that a sample lies closer to the training rows than a held-out row does: 0.5 for "
    "fresh draws, near 1 for memorised rows, near 0 far from all data.",
    "num_copies": "Samples that equal a training row.",
    "num_test_copies": "Held-out rows that equal a training row.",
    "median_sample": "Median distance of a sample from its nearest training row.",
    "median_test": "The same for held-out rows.",
}


def chain_rows(evaluation: Mapping[str, Any] | None, *, kernel: str = "") -> list[Row]:
    """R-hat, ESS, autocorrelation, acceptance and rejected non-finite proposals, with a verdict for each.

    Args:
        evaluation: What ``energax evaluate --json`` prints; reads ``sample_quality.diagnostics``.
        kernel: Name of the kernel, because Gibbs kernels accept everything by construction.

    References:
        [vehtari2021] for the thresholds of R-hat and ESS.
    """
    found = part(part(evaluation, "sample_quality"), "diagnostics")
    value = {name: _scalar(found[name]) for name in found}
    get = value.get
    known = {
        "r_hat": Row("R-hat", number(get("r_hat")), _r_hat_verdict(get("r_hat"))),
        "ess": Row("effective draws (ESS)", _count(get("ess")), _ess_verdict(value)),
        "tau": Row("autocorrelation time", number(get("tau"), significant=2), _tau_verdict(get("tau"))),
        "accept_prob": Row("acceptance", share(get("accept_prob")), _accept_verdict(get("accept_prob"), kernel)),
        "num_nonfinite": Row(
            "non-finite proposals", number(get("num_nonfinite")), _nonfinite_verdict(get("num_nonfinite"))
        ),
        "energy_mean": Row("mean energy, nats", measured(get("energy_mean"), get("energy_stderr"))),
        "num_draws": Row("length", f"{number(get('num_chains'))} chains × {number(get('num_draws'))} draws"),
    }
    silent = {"num_chains", "energy_stderr", *known}
    rest = [name for name in value if name not in silent and _is_shown(value[name])]
    return [row for name, row in known.items() if name in value] + [Row(plain_name(n), number(value[n])) for n in rest]


def quality_rows(evaluation: Mapping[str, Any] | None) -> list[Row]:
    """Distance of the samples from held-out rows and the check against memorising, without the chain diagnostics.

    Numbers that this page does not know by name are shown under their own name, so that a new measure of quality
    appears without a change here.

    Args:
        evaluation: What ``energax evaluate --json`` prints; reads ``sample_quality``.
    """
    found = {k: v for k, v in part(evaluation, "sample_quality").items() if k not in {"diagnostics", "warnings"}}
    return _flat(found, "")


def _flat(found: Mapping[str, Any], prefix: str) -> list[Row]:
    out = []
    for name, value in found.items():
        label = f"{prefix}{_label(name)}"
        if isinstance(value, Mapping) and "value" in value:
            out.append(Row(label, measured(value["value"], value.get("stderr")), _remark(name, value)))
            rest = {k: v for k, v in value.items() if k not in {"value", "stderr", "warnings", "note", "num_effective"}}
            out.extend(_flat(rest, f"{label}: "))
        elif isinstance(value, Mapping):
            out.extend(_flat(value, f"{label}: "))
        elif _is_shown(value) or value is None:
            out.append(Row(label, number(_scalar(value)), _remark(name, {})))
    return out


def _label(name: str) -> str:
    return plain_name(name).replace("mmd", "MMD").replace("Mmd", "MMD")


def _remark(name: str, value: Mapping[str, Any]) -> str:
    return str(value.get("note") or _REMARKS.get(name, ""))


def _is_shown(value: Any) -> bool:
    return isinstance(value, str | bool) or is_finite(_scalar(value))


def _scalar(value: Any) -> Any:
    """The value of an estimate, or the value itself."""
    return value.get("value") if isinstance(value, Mapping) else value


def _count(value: Any) -> str:
    return number(round(float(value))) if is_finite(value) else MISSING


def _r_hat_verdict(value: Any) -> str:
    if not is_finite(value):
        return "Needs several chains of a few draws that move."
    if value <= 1.01:
        return "Good: the chains agree with each other."
    if value <= 1.05:
        return "Nearly: the chains still differ a little; longer chains would settle it."
    return "Not mixed: the chains disagree, so averages over them cannot be trusted."


def _ess_verdict(found: Mapping[str, Any]) -> str:
    value = found.get("ess")
    if not is_finite(value):
        return "The chains are too short to tell."
    total = found.get("num_chains"), found.get("num_draws")
    of = f" (of {number(int(total[0] * total[1]))})" if is_finite(total[0]) and is_finite(total[1]) else ""
    if value >= 400:
        return f"Good: the chains are worth this many independent draws{of}."
    if value >= 100:
        return f"Enough for a mean, thin for tails{of}."
    return f"Too few{of}: error bars from these chains are rough at best."


def _tau_verdict(value: Any) -> str:
    return "One independent draw costs about this many kept draws." if is_finite(value) else "The chains are too short."


def _accept_verdict(value: Any, kernel: str) -> str:
    if not is_finite(value):
        return "The kernel reported none."
    if "".join(c for c in kernel.lower() if c.isalnum()) in _ACCEPTED_BY_CONSTRUCTION:
        return "This kernel accepts every move by construction; the number says nothing about mixing."
    if value < 0.05:
        return "Nearly everything is rejected: the chains stand still. A smaller step size would help."
    if value < 0.2:
        return "Low: steps are too large for this energy."
    if value > 0.98:
        return "Very high: steps are so small that the chains move slowly."
    return "In the useful range."


def _nonfinite_verdict(value: Any) -> str:
    if not is_finite(value):
        return ""
    return (
        "Every proposal had a finite energy."
        if value == 0
        else "Rejected and counted; the energy is not finite somewhere near the chains."
    )
