"""Whether the chains that drew the samples can be believed."""

from __future__ import annotations

import numpy as np

from energax.report._blocks import Block, Figures, Section, Table, Text
from energax.report._summary import SummaryLike, floats
from energax.report.figures import energy_trace
from energax.report.sections._facts import is_generator, method_name
from energax.report.tables import chain_rows


def chains_section(summary: SummaryLike) -> Section | None:
    """The trace of the energy and the diagnostics, each with a verdict; None for a model that draws without chains."""
    if is_generator(summary):
        return None
    blocks: list[Block] = []
    energy = floats(summary, "chain_energy")
    table = chain_rows(summary.evaluation, kernel=method_name(summary, "kernel"))
    if energy is not None and energy.ndim == 2 and np.isfinite(energy).any():
        blocks.append(Figures([energy_trace(energy)], span="medium"))
    if table:
        blocks.append(Table("Diagnostics of the energy along the chains", ("", "value", "verdict"), table))
    if not blocks:
        blocks.append(Text("No chains have been run on the trained model yet.", "note"))
    return Section("chains", "Chains", blocks)
