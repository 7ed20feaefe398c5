"""The style sheet: both themes are complete, and every colour is readable on what lies behind it."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

CSS = files("energax.report").joinpath("templates/report.css").read_text("utf-8")
TEXT = ("text", "muted", "link", "event")
MARKS = ("data", "model", "noise", "truth", "chain-0", "chain-1", "chain-2", "chain-3", "ink", "warn-rule")


def palettes() -> dict[str, dict[str, str]]:
    found = [
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{(.*?)\}", CSS, re.S)
    ]
    return dict(zip(("light", "dark", "print"), found, strict=True))


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_measure_of_contrast_itself():
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
def test_colours_can_be_read(theme):
    colours = palettes()[theme]
    for paper in ("paper", "card"):
        assert min(contrast(colours[name], colours[paper]) for name in TEXT) >= 4.5
        assert min(contrast(colours[name], colours[paper]) for name in MARKS[:-1]) >= 3.0
    assert contrast(colours["warn-text"], colours["warn-paper"]) >= 4.5


def test_every_theme_has_every_colour_and_every_colour_is_used():
    themes = palettes()
    names = set(themes["light"])
    assert all(set(theme) == names for theme in themes.values())
    used = set(re.findall(r"var\(--([\w-]+)\)", CSS)) - {"w", "phone", "desk", "role"}
    assert used == names


def simulated(colour: str, matrix: tuple[tuple[float, ...], ...]) -> list[float]:
    rgb = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return [sum(m * c for m, c in zip(row, linear, strict=True)) for row in matrix]


# Linear RGB seen without the long or the middle cones, [machado2009] at full severity.
PROTAN = ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998))
DEUTAN = ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881))


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
@pytest.mark.parametrize("matrix", [PROTAN, DEUTAN])
def test_data_and_model_differ_for_colour_blind_readers(theme, matrix):
    colours = palettes()[theme]
    data, model = simulated(colours["data"], matrix), simulated(colours["model"], matrix)
    assert max(abs(a - b) for a, b in zip(data, model, strict=True)) > 0.2
    assert ".line.data { stroke-dasharray" in CSS
