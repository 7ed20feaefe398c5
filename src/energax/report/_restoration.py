"""The page of a restoration: what was measured, what came back from each chain, and where it may be wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from energax.report._blocks import Block, Card, Code, Figures, Section, Table, Text
from energax.report._page import render_page, save_page
from energax.report.figures import image_grid
from energax.report.tables import MISSING, Row, is_finite, number

_WORDS = {
    "inpaint": "some of its pixels",
    "super-resolution": "the means over squares of its pixels",
    "colourise": "the mean of its colours",
    "compressed-sensing": "a few random projections of it",
    "denoise": "a noisy copy of it",
}


class RestorationLike(Protocol):
    """The fields of `energax.runs.Restoration`."""

    @property
    def run(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def operator(self) -> str: ...
    @property
    def settings(self) -> Mapping[str, Any]: ...
    @property
    def truth(self) -> np.ndarray | None: ...
    @property
    def back(self) -> np.ndarray: ...
    @property
    def images(self) -> np.ndarray: ...
    @property
    def mean(self) -> np.ndarray: ...
    @property
    def spread(self) -> np.ndarray: ...
    @property
    def numbers(self) -> Mapping[str, Any]: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def value_range(self) -> tuple[float, float]: ...


def write_restoration(found: RestorationLike, path: str | os.PathLike[str], *, command: str = "") -> Path:
    """Write the page of a restoration as one self-contained HTML file.

    Args:
        found: What `energax.runs.restore_image` returns.
        path: File to write; its folder must exist.
        command: The command that repeats it.

    Raises:
        MissingExtra: Jinja2 or Pillow is not installed.
        RunError: The file cannot be written.
    """
    sections = [Section("pictures", "Measurement and restorations", _pictures(found))]
    sections.append(
        Section("numbers", "Numbers", [Table("Scores and chains", ("", "value", "meaning"), restoration_rows(found))])
    )
    if command:
        sections.append(Section("reproduce", "Make this again", [Code(command, "Command", is_shell=True)]))
    cards = [Card("Operator", found.operator), Card("Chains", number(len(found.images)))]
    if "psnr_mean" in found.numbers:
        cards.append(Card("PSNR of the mean", number(found.numbers["psnr_mean"], significant=3), "dB"))
    page = render_page(
        title=f"Restoration by {found.model}: {found.operator}",
        kicker="Report of one energax restoration",
        verdict=_verdict(found),
        fitted=f"The model of {found.run} was trained to make images, not to restore any. Here it is told "
        f"{_WORDS[found.operator]}, and chains in its latent space look for images that agree with both.",
        trained="Every restoration meets the measurement, but for its noise; what differs between them is what the "
        "measurement leaves open.",
        warnings=_warnings(found),
        cards=cards,
        sections=sections,
    )
    return save_page(page, path)


def restoration_rows(found: RestorationLike) -> list[Row]:
    """The numbers of a restoration as rows."""
    get = found.numbers.get
    out = []
    if "psnr_mean" in found.numbers:
        out = [
            Row("PSNR of the mean over chains", f"{number(get('psnr_mean'), significant=3)} dB", "higher is better"),
            Row("PSNR of a single chain", f"{number(get('psnr_single'), significant=3)} dB", "sharper, and less sure"),
            Row("PSNR of the measurement", f"{number(get('psnr_measurement'), significant=3)} dB", "by itself"),
        ]
    return [
        *out,
        Row("distance from the measurement", _share(get("misfit")), "largest entry, of the range of the data"),
        Row("spread between restorations", _share(get("mean_spread")), "mean over pixels, of the range of the data"),
        Row("R-hat", number(get("r_hat")), "of the energy; far above 1 where chains found different answers"),
        Row("acceptance", number(get("accept_prob"), significant=2), ""),
    ]


def _pictures(found: RestorationLike) -> list[Block]:
    low, high = found.value_range
    shown = [("The image", found.truth)] if found.truth is not None else []
    shown += [("The measurement, brought back", found.back), ("Mean of the restorations", found.mean)]
    first = [image_grid(t, np.asarray([image]), found.shape, low=low, high=high) for t, image in shown]
    chains = image_grid("One restoration of each chain", found.images, found.shape, low=low, high=high)
    maps = [("Spread of the restorations", found.spread)]
    if found.truth is not None:
        maps.append(("Error of the mean", np.abs(found.mean - found.truth)))
    top = max(float(np.max(image)) for _, image in maps) or 1.0
    errors = [image_grid(t, np.asarray([image]), found.shape, low=0.0, high=top) for t, image in maps]
    scale = f"Both maps have one scale: the lightest is {number(top / (high - low), significant=2)} of the range."
    return [Figures(first), Figures([chains], "medium"), Figures(errors), Text(scale, "note")]


def _verdict(found: RestorationLike) -> str:
    if "psnr_mean" not in found.numbers:
        return "The undamaged image is not known, so the restorations are shown with how much they differ."
    gain = found.numbers["psnr_mean"] - found.numbers["psnr_measurement"]
    better = "better" if gain >= 0 else "worse"
    return (
        f"The mean of the restorations comes to {number(found.numbers['psnr_mean'], significant=3)} dB, "
        f"{number(abs(gain), significant=2)} dB {better} than the measurement alone."
    )


def _warnings(found: RestorationLike) -> list[str]:
    r_hat = found.numbers.get("r_hat")
    if is_finite(r_hat) and r_hat > 1.2:
        return [
            f"The chains did not agree (R-hat {number(r_hat)} of the energy): each found an answer of its own. The "
            "spread shows these, but their shares are those of where chains began."
        ]
    return []


def _share(value: Any) -> str:
    return number(value, significant=2) if is_finite(value) else MISSING
