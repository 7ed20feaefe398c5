"""How to make the run again: commands, settings, versions, configuration."""

from __future__ import annotations

import json

from energax.report._blocks import Block, Code, Details, Section, Table, Text
from energax.report._summary import SummaryLike
from energax.report.tables import config_rows, environment_rows


def reproduce_section(summary: SummaryLike) -> Section:
    """Commands to copy, then everything that determines the run."""
    blocks: list[Block] = []
    if summary.reproduce:
        blocks.append(
            Text("The same platform and versions give the same run bit by bit; others give the same statistically.")
        )
        blocks.append(Code("\n".join(summary.reproduce), "Commands that make this run again", is_shell=True))
    settings = config_rows(summary.config)
    if settings:
        blocks.append(Table("Settings", ("part", "choice", "options"), settings))
    notes = summary.data.get("notes") or []
    if notes:
        blocks.append(Text("About the data: " + " ".join(str(note) for note in notes)))
    versions = environment_rows(summary.environment)
    if versions:
        blocks.append(Details("Versions and platform", [Table("Versions and platform", ("", "", ""), versions)]))
    if summary.config:
        text = json.dumps(summary.config, indent=2, sort_keys=True, ensure_ascii=False, default=str)
        blocks.append(Details("Whole configuration (config.json)", [Code(text, "Configuration")]))
    if not blocks:
        blocks.append(Text("The summary holds neither commands nor versions.", "note"))
    return Section("reproduce", "Make this run again", blocks)
