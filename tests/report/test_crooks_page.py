"""The page of works in both directions: what it shows, and what it says where nothing can be said."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from report_html import Parsed

from energax import report
from energax._errors import ArgumentError
from energax.estimators import bar, dissipated_work
from energax.report.tables import measured


@dataclasses.dataclass(frozen=True)
class Record:
    work: np.ndarray
    mean_work: np.ndarray
    spread: np.ndarray


def works(num=4000, variance=2.0, delta_f=-0.8):
    rng = np.random.default_rng(3)
    half, spread = variance / 2, np.sqrt(variance)
    return rng.normal(half + delta_f, spread, num), rng.normal(half - delta_f, spread, num)


def record(work):
    way = np.linspace(0.0, 1.0, 21)
    return Record(work, way * work.mean(), way * work.std())


def test_the_page_tells_the_free_energy_and_what_was_lost(tmp_path):
    forward, reverse = works()
    there, back = record(forward), record(reverse)
    told = {"title": "A trap", "command": "python drive.py"}
    page = report.write_crooks(there, back, tmp_path / "page.html", **told).read_text()
    both, (there, back) = bar(forward, reverse), dissipated_work(forward, reverse)
    for estimate in (both, there, back):
        assert measured(estimate.value, estimate.stderr) in page
    for word in ("A trap", "P(−W)", "Along the way", "slope", "Jarzynski", "<span>drive.py</span>"):
        assert word in page
    assert len(re.findall("<svg", page)) >= 3
    assert Parsed(page)
    bare = report.write_crooks(forward, reverse, tmp_path / "bare.html").read_text()
    assert "Along the way" not in bare
    assert "Make this again" not in bare


def test_dots_lie_on_the_line(tmp_path):
    """In the drawing itself: the dots of the log ratio are within a few error bars of the line of slope 1."""
    page = report.write_crooks(*works(40_000), tmp_path / "page.html").read_text()
    figure = next(svg for svg in re.findall(r"<svg.*?</svg>", page, re.S) if "Log ratio of the two" in svg)
    ends = re.search(r'd="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)" class="line truth"', figure)
    x0, y0, x1, y1 = map(float, ends.groups())
    dots = re.search(r'd="((?:M[\d.]+ [\d.]+h0)+)" class="dots', figure).group(1)
    x, y = np.asarray(re.findall(r"M([\d.]+) ([\d.]+)h0", dots), float).T
    bars = re.findall(r'x1="([\d.]+)" x2="[\d.]+" y1="([\d.]+)" y2="([\d.]+)" class="whisker', figure)
    reach = np.asarray([abs(float(a) - float(b)) / 2 for _, a, b in bars])
    assert x.size > 8
    assert np.all(np.abs(y - (y0 + (x - x0) * (y1 - y0) / (x1 - x0))) <= 4.9 * reach + 1.0)


def test_no_overlap_is_said(tmp_path):
    forward, reverse = works(200, variance=400.0)
    page = report.write_crooks(forward, reverse, tmp_path / "page.html").read_text()
    assert "no overlap" in page
    assert "ΔF is not known" in page
    with pytest.raises(ArgumentError, match="infinite"):
        report.write_crooks([0.0, np.inf], [0.0, 1.0], tmp_path / "page.html")
