"""Docs that cannot drift: references exist, the README's Python runs, every name has a line in the decision table."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import energax
from energax import runs, studies

ROOT = Path(__file__).parent.parent
SOURCE = Path(energax.__file__).parent
KEY = re.compile(r"\[([a-z]+[0-9]{4}[a-z]?)\]")


def test_every_cited_reference_exists_and_is_cited() -> None:
    known = set(re.findall(r"^@\w+\{(\w+),", (ROOT / "docs" / "references.bib").read_text(), re.MULTILINE))
    texts = [
        path for kind in ("*.py", "*.md", "*.css") for root in (SOURCE, ROOT / "tests") for path in root.rglob(kind)
    ]
    cited = {key for path in texts for key in KEY.findall(path.read_text(encoding="utf-8"))}
    assert cited <= known, cited - known
    assert known <= cited, known - cited


@pytest.mark.parametrize("kind", sorted(runs.REGISTRIES))
def test_every_name_has_a_line_in_the_decision_table(kind: str) -> None:
    text = (ROOT / "docs" / "choose.md").read_text()
    for name in runs.REGISTRIES[kind]:
        assert f"`{name}`" in text, name


def test_the_tables_of_objectives_are_those_of_the_measured_runs() -> None:
    """After `python benchmarks/objectives.py` they are; a measured study without its table is a page gone stale."""
    text = (ROOT / "docs" / "choose" / "objective.md").read_text(encoding="utf-8")
    measured = sorted((ROOT / "benchmarks" / "objectives").glob("*.json"))
    assert measured
    for path in measured:
        assert studies.markdown(json.loads(path.read_text())) in text, path.name


@pytest.mark.parametrize("kind", sorted(runs.REGISTRIES))
def test_every_option_is_explained(kind: str) -> None:
    for entry in runs.REGISTRIES[kind].values():
        texts = runs.field_help(entry.config)
        assert set(texts) == set(entry.config.__dataclass_fields__), entry.name


def test_changelog_and_version_agree() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert "## Unreleased" in text or f"## {energax.__version__}" in text
    assert f'version = "{energax.__version__}"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_python_of_the_readme_runs(number: int, tmp_path: Path) -> None:
    """Shortened, in a process of its own; the README must name the numbers that are shortened."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 3
    code = blocks[number]
    for long, short in (("num_steps=5_000", "num_steps=60"), ("num_steps=2_000", "num_steps=60")):
        code = code.replace(long, short)
    code = (
        code.replace("beta=0.44,", "beta=0.44, budget=200_000,")
        .replace("data.test, key=jax.random.key(2))", "data.test, key=jax.random.key(2), budget=100_000)")
        .replace("num_steps=1_000", "num_steps=20")
        .replace("num_steps=500", "num_steps=20")
    )
    script = tmp_path / "readme.py"
    script.write_text(code + "\nprint('end')\n")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().endswith("end")
