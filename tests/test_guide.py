"""The guide's programs run, and make the figures that its pages show."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).parent.parent / "docs" / "guide"


def _guide():
    spec = importlib.util.spec_from_file_location("guide", GUIDE / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGES = _guide().PAGES


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_program_of_a_page_runs(page, tmp_path):
    assert _guide().run(page, tmp_path)
    assert (tmp_path / f"{page}.png").stat().st_size > 5_000


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_its_figure_and_is_listed(page):
    text = (GUIDE / f"{page}.md").read_text(encoding="utf-8")
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert shown == [f"../images/guide/{page}.png"]
    assert (GUIDE / shown[0]).is_file()
    assert f"]({page}.md)" in (GUIDE / "README.md").read_text(encoding="utf-8")
