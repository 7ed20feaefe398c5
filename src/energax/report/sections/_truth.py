"""Where the truth is known: the divergence from it, and whether every mode has its mass."""

from __future__ import annotations

from energax.report._blocks import Block, Details, Figures, Section, Table, Text
from energax.report._summary import SummaryLike
from energax.report.figures import mode_mass_chart
from energax.report.sections._facts import objective_family
from energax.report.tables import MISSING, fixed, is_finite, kl_rows, mode_mass_rows, mode_masses

_TOLERANCE = 0.03
_TOLERANCE_OF_ITS_OWN = 0.25
_SLOPES = (
    "core matching sees only the slope of the energy near the data, and a constant added to the whole of one mode "
    "changes no slope there. Chains that sample the model afterwards do not cross the valley either: their shares are "
    "those of the places where they started."
)
_WHY_WRONG = {
    "denoising": f"Denoising s{_SLOPES}",
    "score": f"S{_SLOPES}",
    "contrast": "Chains that do not cross the valley keep the shares with which they started, whatever masses the "
    "model gives. Contrastive divergence compares the data with these chains, so it cannot see that the masses are "
    "wrong.",
}
_WHAT_REMAINS = "The shape inside each mode can be right all the same; do not read the masses."


def truth_section(summary: SummaryLike) -> Section | None:
    """KL to the truth and the masses of the modes; None where the truth is not known."""
    kl, modes = kl_rows(summary.evaluation), mode_masses(summary.evaluation)
    if not kl and not modes:
        return None
    blocks: list[Block] = []
    if kl:
        blocks.append(Table("Divergence from the truth", ("", "value", "meaning"), kl))
    if modes:
        table = Table("Mass of each mode", ("mode", "under the model", "compare"), mode_mass_rows(summary.evaluation))
        blocks += [Figures([mode_mass_chart(modes)]), *_mass_texts(summary), Details("The masses as numbers", [table])]
    return Section("truth", "Against the known truth", blocks)


def _largest_mass_error(summary: SummaryLike) -> tuple[float, bool] | None:
    """The largest error of a mode's mass, and whether any is wrong; None where the masses are not known.

    A mass counts as wrong when it is off by more than 0.03 or by more than a quarter of the true mass.
    """
    known = [m for m in mode_masses(summary.evaluation) if is_finite(m.get("model"))]
    errors = [(abs(float(m["model"]) - float(m["truth"])), float(m["truth"])) for m in known]
    if not errors:
        return None
    is_wrong = any(error > min(_TOLERANCE, _TOLERANCE_OF_ITS_OWN * truth) for error, truth in errors)
    return max(error for error, _ in errors), is_wrong


def _mass_texts(summary: SummaryLike) -> list[Block]:
    """Whether the masses are right, and why separated modes cannot be weighed where they are not."""
    found = _largest_mass_error(summary)
    if found is None:
        return [Text(f"The masses under the model are {MISSING}.", "note")]
    worst, is_wrong = found
    points = f"{fixed(100 * worst, 1)} percentage points"
    if not is_wrong:
        return [Text(f"Every mode has its mass to within {points}.")]
    return [
        Text(
            f"The masses are wrong, by up to {points}. Where modes are separated this is what to expect, and more "
            "training does not mend it: how much one mode weighs against another is written only in the valley "
            "between them, where there are hardly any data."
        ),
        Text(f"{_WHY_WRONG[objective_family(summary)]} {_WHAT_REMAINS}"),
    ]
