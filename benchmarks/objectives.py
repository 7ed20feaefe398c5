"""Writes docs/choose/objective.md from measured comparisons of objectives, which are the JSON files beside it.

`energax compare-objectives DATA ... --json > benchmarks/objectives/NAME.json` measures one of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from energax import studies

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "choose" / "objective.md"
WANTED = {"8gaussians": 0.01, "25gaussians": 0.01, "checkerboard": 0.03}
"""Divergences, in nats, below which a law of the plane counts as learned."""

HEAD = """# Which objective?

This page is written by `python benchmarks/objectives.py` from runs of `energax compare-objectives`; each table names
its command. KL(truth‖model) is the mean of log p/q over 20,000 fresh draws of the true density, log Z of the model by
quadrature; what follows ± is the spread over the runs, one standard deviation. Every run has its own draw of the data,
its own weights and batches. `exact-likelihood` integrates over a grid and is the bracket of the others. MMD² is between
a thousand draws of the model and as many test rows.

The runs were made beside other heavy work on the same two cores, so that milliseconds are too long, by a factor of two
to five; where a budget is in seconds, a quiet machine makes as many more updates and all divergences smaller. They
compare objectives, not machines. `energax fit DATA --objective NAME` is one such run with all its pages.
"""


def main() -> None:
    """Write the page."""
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)


def page() -> str:
    """The page as text."""
    parts = [HEAD, "## What each needs, and where it is biased\n", studies.words_table()]
    for path in sorted((ROOT / "benchmarks" / "objectives").glob("*.json")):
        found = json.loads(path.read_text())
        parts += [f"\n## {title(found['plan'])}\n", reached(found), studies.markdown(found)]
    return "\n".join(part for part in parts if part)


def title(plan: dict[str, Any]) -> str:
    """Heading of a table."""
    some = "every objective that fits" if len(plan["objectives"]) > 3 else ", ".join(plan["objectives"])
    return f"{plan['data']}: {some}"


def reached(found: dict[str, Any]) -> str:
    """Which objectives learned the law in every run."""
    limit = WANTED.get(found["plan"]["data"])
    if limit is None:
        return ""
    good = [row for row in found["rows"] if row["kl"] is not None and not row["num_failed"]]
    names = [f"`{row['objective']}`" for row in good if row["kl"]["worst"] <= limit]
    done, asked = len(found["trials"]), found["plan"]["seeds"] * len(found["plan"]["objectives"])
    stopped = f" The study was stopped after {done} of {asked} runs." if done < asked else ""
    return f"At most {limit} nats in every run: {', '.join(names) or 'none'}.{stopped}\n"


if __name__ == "__main__":
    main()
