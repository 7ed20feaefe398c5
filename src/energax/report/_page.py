"""From a summary to the bytes of one HTML file."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

from energax._errors import MissingExtra, RunError
from energax._files import replace_file
from energax.report import sections
from energax.report._summary import SummaryLike


def write(summary: SummaryLike, path: str | os.PathLike[str]) -> Path:
    """Write the page of a run as one self-contained HTML file.

    The page needs no network and no JavaScript. Parts that the summary lacks are said to be missing. The same summary
    gives the same bytes. An existing file is replaced at once or not at all.

    Args:
        summary: An `energax.runs.Summary`, or any object with its fields.
        path: File to write; its folder must exist.

    Returns:
        The path that was written.

    Raises:
        MissingExtra: Jinja2 or Pillow is not installed; the message has the command.
        RunError: The file cannot be written.
        ShapeError: A grid of the summary does not fit its axes.
    """
    return save_page(render(summary), path)


def save_page(page: str, path: str | os.PathLike[str]) -> Path:
    """Write a finished page at once or not at all.

    Raises:
        RunError: The file cannot be written.
    """
    target = Path(path)
    # Names of files may hold bytes that are no UTF-8; Python keeps them as lone surrogates, which no page can show.
    content = page.encode("utf-8", errors="replace")
    try:
        replace_file(target, content)
    except OSError as error:
        raise RunError(f"The report {target} cannot be written: {error.strerror or error}.") from error
    return target


def render(summary: SummaryLike) -> str:
    """The page as text."""
    found = [section(summary) for section in sections.SECTIONS]
    return render_page(
        title=f"{sections.model_name(summary) or 'model'} on {sections.data_name(summary)}",
        fitted=sections.what_was_fitted(summary),
        trained=sections.how_it_was_trained(summary),
        verdict=sections.verdict(summary),
        warnings=sections.warnings(summary),
        cards=sections.cards(summary),
        sections=[section for section in found if section is not None],
        version=str(summary.environment.get("energax") or ""),
    )


def render_page(**parts: Any) -> str:
    """A page from its parts, whatever it is about."""
    return _template().render(**{"kicker": "Report of one energax run", "version": "", **parts})


@functools.cache
def _template() -> Any:
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise MissingExtra('The report needs Jinja2. Install it with: pip install "energax[cli]".') from error
    environment = Environment(
        loader=PackageLoader("energax.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja")
