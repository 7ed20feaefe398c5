"""The page in a real browser: nothing overflows a phone, everything is painted, both themes are used."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from energax import report, runs, studies
from energax.studies import _models_trial

CHROMIUM = next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)
pytestmark = pytest.mark.browser

# The page forbids scripts, so a frame around it looks at it from outside.
HARNESS = """<!DOCTYPE html><meta charset="utf-8"><body><iframe id="f" style="width:{width}px;height:900px;border:0"
srcdoc="{page}"></iframe><pre id="out"></pre><script>
document.getElementById("f").addEventListener("load", () => {{
  const doc = document.getElementById("f").contentDocument, win = doc.defaultView, root = doc.documentElement;
  doc.querySelectorAll("details").forEach(d => d.open = true);
  const scrolls = e => e.closest(".scroll, pre") !== null;
  const wide = [...doc.body.querySelectorAll("*")].filter(
    e => !scrolls(e) && e.getBoundingClientRect().right > root.clientWidth + 0.5).map(e => e.outerHTML.slice(0, 80));
  const fonts = [...doc.querySelectorAll("svg text")].map(
    e => parseFloat(win.getComputedStyle(e).fontSize) * e.getScreenCTM().a);
  document.getElementById("out").textContent = JSON.stringify({{
    width: root.clientWidth, scroll: root.scrollWidth, wide: wide,
    images: [...doc.images].map(i => i.complete && i.naturalWidth > 0),
    zoom: [...doc.images].map(i => i.getBoundingClientRect().width / i.naturalWidth),
    smallest: fonts.length ? Math.min(...fonts) : 99,
    paper: win.getComputedStyle(doc.body).backgroundColor,
    role: win.getComputedStyle(root).getPropertyValue("--model"),
    height: root.scrollHeight}});
}});
</script></body>"""


def looked_at(page: Path, folder: Path, *, width: int, scheme: int = 1) -> dict:
    """What the browser says of a page in a frame of that width; scheme 0 is dark, 1 is light."""
    assert CHROMIUM is not None
    harness = folder / "harness.html"
    harness.write_text(HARNESS.format(width=width, page=html.escape(page.read_text("utf-8"), quote=True)), "utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command += [f"--user-data-dir={folder / 'profile'}", f"--blink-settings=preferredColorScheme={scheme}"]
    command += [
        "--hide-scrollbars",
        "--window-size=1400,1000",
        "--virtual-time-budget=4000",
        "--dump-dom",
        harness.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    found = re.search(r'<pre id="out">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    assert found.group(1), done.stderr[-2000:]
    return json.loads(html.unescape(found.group(1)))


@pytest.mark.parametrize("name", ["digits", "planar", "table", "failing", "empty"])
def test_nothing_overflows_a_narrow_phone(pages, tmp_path, name):
    seen = looked_at(pages[name], tmp_path, width=360)
    assert seen["width"] == 360
    assert seen["scroll"] <= 360
    assert seen["wide"] == []
    assert all(seen["images"])
    assert seen["smallest"] >= 9.0
    assert all(abs(z - round(z)) < 1e-6 for z in seen["zoom"])


def test_a_name_without_spaces_does_not_push_the_page_apart(pages, tmp_path):
    page = tmp_path / "long.html"
    page.write_text(pages["table"].read_text("utf-8").replace("wells.csv", "w" * 300 + ".csv"), "utf-8")
    seen = looked_at(page, tmp_path, width=360)
    assert seen["scroll"] <= 360


def test_dark_and_light(pages, tmp_path):
    light, dark = (looked_at(pages["digits"], tmp_path, width=1200, scheme=scheme) for scheme in (1, 0))
    assert light["paper"] == "rgb(251, 251, 250)"
    assert dark["paper"] == "rgb(20, 23, 27)"
    assert light["role"] != dark["role"]
    assert light["wide"] == dark["wide"] == []
    assert all(abs(z - round(z)) < 1e-6 for z in light["zoom"])


@pytest.fixture
def comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page of every family on pictures, with noise for draws and a number for every metric."""
    measures = ("mmd_squared", "sliced_wasserstein", "energy_distance", "precision", "recall", "density", "coverage",
                "frechet", "feature_precision", "feature_recall", "class_coverage", "class_distance")  # fmt: skip

    def run(trial: _models_trial.Trial) -> Any:
        numbers = {"likelihood_kind": "bound", "log_likelihood": -1234.5678, "bits_per_dim": 3.21, "num_steps": 1000,
                   "num_parameters": 123_456, "train_seconds": 1.0, "milliseconds_per_step": 12.345,
                   "draw_evaluations": 50.0, "milliseconds_per_draw": 0.01234}  # fmt: skip
        numbers |= {f"{name}{end}": 0.1234 for name in measures for end in ("", "_floor")}
        noise = np.random.default_rng(0).uniform(size=(400, 64))
        restored = dict.fromkeys(("noisy", "denoised", "clean"), noise[:20])
        return numbers, {"draws": noise, "shown": noise, "ways": noise[:40].reshape(4, 10, 64), **restored}

    monkeypatch.setattr(_models_trial.Trial, "run", run)
    plan = studies.plan_models("digits", seeds=2, budget=5.0)
    found = studies.compare_models(plan, tmp_path / "study")
    told = runs.plain(found.to_json())
    return report.write_models(told, studies.shown_arrays(plan, tmp_path / "study"), tmp_path / "page.html")


@pytest.mark.parametrize("width", [360, 1200])
def test_a_comparison_of_all_families_fits_its_window(comparison: Path, tmp_path: Path, width: int) -> None:
    page = comparison.read_text("utf-8")
    assert all(name in page for name in ("vae", "ec-vae", "gan", "flow", "diffusion", "flow-matching", "ebm"))
    assert "<script" not in page
    assert "default-src 'none'" in page
    seen = looked_at(comparison, tmp_path, width=width)
    assert seen["scroll"] <= width
    assert seen["wide"] == []
    assert len(seen["images"]) > 8
    assert all(seen["images"])
