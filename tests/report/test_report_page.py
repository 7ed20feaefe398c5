"""The page as a document: its structure, what it says, what it must never contain."""

from __future__ import annotations

import dataclasses
import itertools
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import report_examples
from report_html import Parsed

from energax import report
from energax._errors import MissingExtra, RunError, ShapeError
from energax.report import _page

NAMES = ("digits", "planar", "table", "failing", "empty")


def parsed(summary: report_examples.Example, folder: Path) -> Parsed:
    return Parsed(report.write(summary, folder / "report.html").read_text("utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_structure(pages, name):
    page = Parsed(pages[name].read_text("utf-8"))
    levels = [level for level, _ in page.headings]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    assert page.attributes("html")[0]["lang"] == "en"
    assert any(a.get("name") == "viewport" for a in page.attributes("meta"))
    assert len(page.attributes("title")) == 1
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    targets = [a["href"] for a in page.attributes("a")]
    assert targets
    assert all(t is not None and t.startswith("#") and t[1:] in ids for t in targets)


@pytest.mark.parametrize("name", NAMES)
def test_every_picture_is_told_in_words(pages, name):
    page = Parsed(pages[name].read_text("utf-8"))
    assert all((a.get("alt") or "").strip() for a in page.attributes("img"))
    assert all(len(a.get("aria-label") or "") > 20 or a.get("aria-hidden") == "true" for a in page.attributes("svg"))


@pytest.mark.parametrize("name", NAMES)
def test_it_needs_no_network_and_no_scripts(pages, name):
    content = pages[name].read_text("utf-8")
    page = Parsed(content)
    assert not [t for t, _ in page.tags if t in {"script", "link", "iframe", "object", "embed", "base", "form"}]
    for tag, attributes in page.tags:
        for key, value in attributes.items():
            assert not key.startswith("on"), (tag, key)
            if key in {"src", "href", "srcset", "action", "data", "xlink:href"}:
                assert (value or "").startswith(("data:image/png;base64,", "#")), (tag, key)
    assert not re.search(r"@import|url\((?!#)", content)
    assert "://" not in content
    assert len(content) < 3_000_000


@pytest.mark.parametrize("name", NAMES)
def test_no_number_is_printed_raw(pages, name):
    page = Parsed(pages[name].read_text("utf-8"))
    spoken = page.text + " ".join(a.get("aria-label") or a.get("alt") or "" for _, a in page.tags)
    spoken = spoken.split("Whole configuration")[0]
    assert not re.search(r"\b(nan|NaN|inf|Infinity|None|null|undefined)\b", spoken)
    assert not re.search(r"(?<![\w-])-\d", spoken), "an ASCII hyphen stands for a minus"
    assert not re.search(r"\d\.\d{9,}", spoken)
    drawn = " ".join(
        " ".join(str(v) for v in a.values()) for t, a in page.tags if t in {"path", "line", "text", "circle"}
    )
    assert not re.search(r"nan|inf|e[+-]\d", drawn)


def test_the_same_summary_gives_the_same_bytes(pages, tmp_path):
    for name, summary in report_examples.every().items():
        again = report.write(summary, tmp_path / "again.html")
        assert again.read_bytes() == pages[name].read_bytes()


def test_the_verdict_of_a_good_model(pages):
    text = Parsed(pages["digits"].read_text("utf-8")).text
    assert "The model assigns the held-out images −19.42 to −19.18 nats each" in text
    assert "(independent Bernoulli) gets −27.83" in text
    assert "at least 8.41 nats better" in text
    assert "4,500 times as likely" in text
    assert "provided that the chains behind the lower end were in equilibrium" in text
    assert "Read this first" not in text


def test_wrong_masses_are_shown_and_explained(pages):
    text = Parsed(pages["planar"].read_text("utf-8")).text
    assert "The masses are wrong, by up to 8.5 percentage points" in text
    assert "written only in the valley between them" in text
    assert "Denoising score matching sees only the slope" in text
    assert "KL(truth‖model)" in text
    assert "0.1634 nats" in text


def test_right_masses_are_not_called_wrong(tmp_path):
    summary = report_examples.planar()
    modes = [{"mode": k, "truth": m, "model": m + 0.01, "chains": None} for k, m in ((1, 0.3), (2, 0.7))]
    summary = dataclasses.replace(summary, evaluation={**(summary.evaluation or {}), "mode_masses": modes})
    text = parsed(summary, tmp_path).text
    assert "Every mode has its mass to within 1.0 percentage points" in text
    assert "wrong" not in text


def test_a_run_that_failed_says_so_first(pages):
    page = Parsed(pages["failing"].read_text("utf-8"))
    assert page.headings[1] == (2, "Read this first")
    assert "disturbed by 2 events; the first began at step 1,502" in page.text
    assert "Training stopped at step 2,225 of 5,000" in page.text
    assert "Went back to the checkpoint of step 1500" in page.text
    assert "4 logged values were not finite" in page.text
    assert "has not been evaluated yet" in page.text


def test_walkers_tell_of_wrong_masses_until_they_are_lost(tmp_path):
    """Lines in which their log Z has an error near 1 are not believed, and the page says from when on."""
    summary = report_examples.planar()
    told = {"walker_ess": 200.0, "log_z": 3.0, "mass_gap": 0.4, "model_mass_0": 0.1, "data_mass_0": 0.5}
    rows = [{**row, **told, "log_z_stderr": 0.1, "mass_gap": 0.3 + 1e-6 * k} for k, row in enumerate(summary.history)]
    page = parsed(dataclasses.replace(summary, history=rows), tmp_path)
    assert "At the end 30% of the model's mass lay in other regions" in page.text
    assert "Mass of region 0" in page.text
    lost = [*rows[:-2], *({**row, "log_z_stderr": 0.99} for row in rows[-2:])]
    page = parsed(dataclasses.replace(summary, history=lost), tmp_path)
    assert "At the end 30% of the model's mass" not in page.text
    assert "on the weighted walkers could not follow the model" in page.text


def test_worse_than_the_baseline_is_said(tmp_path):
    summary = report_examples.digits()
    evaluation = dict(summary.evaluation or {})
    evaluation["test_log_likelihood"] = {
        **report_examples.interval(-30.0, -29.9, "certified", "certified"),
        "stderr_test": 0.1,
        "unit": "nats",
    }
    text = parsed(dataclasses.replace(summary, evaluation=evaluation), tmp_path).text
    assert "worse than the baseline by at least 2.07 nats" in text
    evaluation["test_log_likelihood"]["upper"] = -27.0
    text = parsed(dataclasses.replace(summary, evaluation=evaluation), tmp_path).text
    assert "cannot be said which of the two is better" in text


@pytest.mark.parametrize(
    ("lower", "upper", "sentence"),
    [
        (None, -25.0, "at most −25.00 nats each"),
        (-26.0, None, "at least −26.00 nats each"),
        (None, None, "The likelihood is not available: sampling gave neither end"),
    ],
)
def test_open_ends_are_said(tmp_path, lower, upper, sentence):
    summary = report_examples.digits()
    result = {
        **report_examples.interval(lower, upper, "none" if lower is None else "exact", "none"),
        "stderr_test": None,
        "unit": "nats",
    }
    changed = {**(summary.evaluation or {}), "test_log_likelihood": result}
    page = parsed(dataclasses.replace(summary, evaluation=changed), tmp_path)
    assert sentence in page.text
    assert "No ground for this end" in page.text
    if lower is None and upper is not None:
        assert "Without a lower end it cannot be said whether the model beats the baseline" in page.text


POISON = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7 * 7 }}</style></svg>&amp;"


def poisoned(value, *, keep=()):
    """Every string replaced, names that nothing but the user chooses included."""
    if isinstance(value, dict):
        return {k: v if k in keep else poisoned(v, keep=keep) for k, v in value.items()}
    if isinstance(value, list):
        return [poisoned(v, keep=keep) for v in value]
    return POISON if isinstance(value, str) else value


@pytest.mark.parametrize("name", ["digits", "planar", "table", "failing"])
def test_texts_from_data_stay_texts(tmp_path, name):
    summary = report_examples.every()[name]
    history = [{**row, POISON: float(k)} for k, row in enumerate(summary.history)]
    bad = dataclasses.replace(
        summary,
        config={**poisoned(summary.config), POISON: POISON},
        data={**poisoned(summary.data, keep=("kind",)), "columns": [POISON] * 6, "notes": [POISON]},
        model={**summary.model, "name": POISON},
        history=history,
        events=poisoned(summary.events),
        evaluation=None if summary.evaluation is None else {**poisoned(summary.evaluation), "warnings": [POISON]},
        environment={POISON: POISON},
        reproduce=[POISON],
    )
    page = parsed(bad, tmp_path)
    assert {t for t, _ in page.tags} <= {t for t, _ in parsed(summary, tmp_path).tags} | {
        "aside",
        "ul",
        "li",
        "details",
    }
    assert not [a for _, attributes in page.tags for a in attributes if a.startswith("on")]
    assert POISON in page.text
    assert "49" not in page.headings[0][1]
    assert POISON in page.headings[0][1]


FIELDS = [f.name for f in dataclasses.fields(report_examples.Example)]


@pytest.mark.parametrize("name", ["digits", "planar", "table"])
@pytest.mark.parametrize("field", FIELDS)
def test_each_field_may_be_missing(tmp_path, name, field):
    summary = dataclasses.replace(report_examples.every()[name], **{field: getattr(report_examples.empty(), field)})
    page = parsed(summary, tmp_path)
    assert len(page.headings) >= 5


@pytest.mark.parametrize("name", ["digits", "planar", "table"])
def test_each_array_may_be_missing_or_hold_nothing_finite(tmp_path, name):
    summary = report_examples.every()[name]
    axes = {k: v for k, v in summary.arrays.items() if k in ("grid_x", "grid_y")}
    others = {k: v for k, v in summary.arrays.items() if k not in axes}
    for key in summary.arrays:
        parsed(dataclasses.replace(summary, arrays={k: v for k, v in summary.arrays.items() if k != key}), tmp_path)
    for fill in (np.nan, np.inf, 0.0):
        same = {key: np.full(values.shape, fill) for key, values in others.items()}
        parsed(dataclasses.replace(summary, arrays={**axes, **same}), tmp_path)
    parsed(dataclasses.replace(summary, arrays={key: v[:0] for key, v in summary.arrays.items()}), tmp_path)


@pytest.mark.parametrize("name", ["digits", "planar", "table"])
def test_each_part_of_the_evaluation_may_be_missing(tmp_path, name):
    summary = report_examples.every()[name]
    for key in summary.evaluation or {}:
        rest = {k: v for k, v in (summary.evaluation or {}).items() if k != key}
        parsed(dataclasses.replace(summary, evaluation=rest), tmp_path)
    parsed(dataclasses.replace(summary, evaluation=dict.fromkeys(summary.evaluation or {})), tmp_path)


def test_one_step_one_chain_one_draw(tmp_path):
    summary = report_examples.digits()
    arrays = {key: values[:1] for key, values in summary.arrays.items()}
    arrays["chain_energy"] = np.asarray([[1.0]])
    page = parsed(dataclasses.replace(summary, history=summary.history[:1], arrays=arrays), tmp_path)
    assert "1 images of 8 × 8 pixels" in str([a.get("alt") for a in page.attributes("img")])


def test_images_in_colour_with_the_channel_first_or_last(tmp_path):
    rng = np.random.default_rng(0)
    for shape in ((3, 8, 8), (8, 8, 3), (8, 8, 1), (1, 8, 8)):
        images = rng.random((12, int(np.prod(shape))))
        summary = dataclasses.replace(
            report_examples.digits(), arrays={"data_sample": images, "model_sample": images * 1.5}, image_shape=shape
        )
        page = parsed(summary, tmp_path)
        assert [a.get("width") for a in page.attributes("img")] == ["89", "89"]
        assert "of these pixels lie outside the data's range" in page.text


def test_names_that_are_no_utf8_are_written(tmp_path):
    summary = dataclasses.replace(report_examples.table(), data={"name": "caf\udce9.csv", "kind": "table"})
    assert "caf?.csv" in parsed(summary, tmp_path).headings[0][1]


def test_a_grid_that_does_not_fit_is_refused(tmp_path):
    summary = report_examples.planar()
    arrays = {**summary.arrays, "grid_x": summary.arrays["grid_x"][:-1]}
    with pytest.raises(ShapeError, match=r"grid_truth.*shape \(180, 179\); given \(180, 180\)"):
        report.write(dataclasses.replace(summary, arrays=arrays), tmp_path / "x.html")


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")

    def full(self, *_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(RunError, match="No space left on device"):
        report.write(report_examples.empty(), path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    monkeypatch.undo()
    with pytest.raises(RunError, match="cannot be written"):
        report.write(report_examples.empty(), tmp_path / "missing" / "report.html")


@pytest.mark.parametrize(("module", "what"), [("jinja2", "Jinja2"), ("PIL", "Pillow")])
def test_a_missing_extra_says_how_to_install_it(tmp_path, monkeypatch, module, what):
    _page._template.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=rf'{what}.*pip install "energax\[cli\]"'):
        report.write(report_examples.digits(), tmp_path / "x.html")
