"""Models side by side: draws over densities, grids of images, ways between rows, rows without their noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from energax.report._blocks import Block, Figure, Figures, Text
from energax.report._summary import Floats
from energax.report.figures import Map, density_map, image_grid, image_pairs, image_rows, marginal

Shown: TypeAlias = Mapping[str, np.ndarray]
"""Arrays of one model, or of the data, by name."""

_MOST_COLUMNS = 3
_NUM_DOTS = 400


def pictures(shown: Mapping[str, Shown]) -> list[Block]:
    """Draws of all models beside test rows: over the plane, as images, or by columns."""
    data = shown["data"]
    if "image_shape" in data:
        shape, low, high = _scale_of_images(data)
        figures = [
            image_grid("data" if name == "data" else name, _flat(arrays["shown"]), shape, low=low, high=high)
            for name, arrays in shown.items()
        ]
        return [Figures(figures)]
    if data["shown"].shape[1] == 2:
        return _planes(shown)
    figures = [
        marginal(f"{name}, column {k + 1}", data["shown"][:, k], arrays["shown"][:, k])
        for name, arrays in _models(shown).items()
        for k in range(min(_MOST_COLUMNS, data["shown"].shape[1]))
    ]
    return [Figures(figures)] if figures else []


def ways(shown: Mapping[str, Shown]) -> list[Block]:
    """Ways through the latents, from one row to another."""
    data, figures = shown["data"], []
    for name, arrays in _models(shown).items():
        if "ways" not in arrays:
            continue
        if "image_shape" in data:
            shape, low, high = _scale_of_images(data)
            figures.append(image_rows(name, arrays["ways"], shape, low=low, high=high))
        elif data["shown"].shape[1] == 2:
            figures.append(
                _map(f"way-{name}", name, _axes(shown), data.get("grid"), _flat(arrays["ways"], 2), "model", shown)
            )
    if not figures:
        return []
    note = (
        "From one test row to another along a great circle between their latents; between two draws where the model "
        "knows no latent of a given row. Models that are missing have no latent."
    )
    return [Text(note, "note"), Figures(figures)]


def denoising(shown: Mapping[str, Shown]) -> list[Block]:
    """Rows with noise, and below each what a model makes of it."""
    data, figures, said = shown["data"], [], []
    for name, arrays in _models(shown).items():
        if "denoised" not in arrays:
            continue
        clean, noisy, found = (arrays[key].astype(np.float64) for key in ("clean", "noisy", "denoised"))
        before, after = (float(np.sqrt(np.mean((rows - clean) ** 2))) for rows in (noisy, found))
        text = f"Root mean squared error {before:.3g} before, {after:.3g} after."
        if "image_shape" in data:
            shape, low, high = _scale_of_images(data)
            figures.append(image_pairs(name, _flat(noisy), _flat(found), shape, low=low, high=high, note=text))
        else:
            said.append(Text(f"{name}: {text}"))
    if not figures and not said:
        return []
    note = (
        "Upper rows: test rows with noise in the model's own units, half a standard deviation or a tenth of the bits; "
        "flows see grey images as logits. Below each: what the model makes of it. Models that are missing cannot."
    )
    return [Text(note, "note"), *([Figures(figures)] if figures else []), *said]


def _planes(shown: Mapping[str, Shown]) -> list[Block]:
    axes = _axes(shown)
    figures = [
        _map(f"map-{name}", "data" if name == "data" else name, axes, arrays.get("grid"), arrays["shown"],
             "data" if name == "data" else "model", shown)
        for name, arrays in shown.items()
    ]  # fmt: skip
    note = (
        "Shades grow with the square root of the density, on one scale for all; without shades the model has no "
        "density, or none that is known over the plane. Dots are draws, in the first picture test rows."
    )
    return [Figures(figures), Text(note, "note")]


def _map(
    mask: str, title: str, axes: tuple[Floats, Floats], density: np.ndarray | None, points: Floats, role: str,
    shown: Mapping[str, Shown],
) -> Figure:  # fmt: skip
    x, y = axes
    blank = np.full((len(y), len(x)), -np.inf)
    grids = [arrays["grid"] for arrays in shown.values() if "grid" in arrays]
    top = max((float(np.max(grid[np.isfinite(grid)])) for grid in grids[:1] if np.isfinite(grid).any()), default=0.0)
    picture = Map(title, blank if density is None else density, points[:_NUM_DOTS], role)
    return density_map(picture, x, y, top=top, name=mask)


def _axes(shown: Mapping[str, Shown]) -> tuple[Floats, Floats]:
    """Those of the densities, or else of a square that holds the test rows."""
    known = next((arrays for arrays in shown.values() if "grid" in arrays), None)
    if known is not None:
        return known["grid_x"], known["grid_y"]
    rows = shown["data"]["shown"]
    room = 0.1 * (rows.max(0) - rows.min(0))
    low, high = rows.min(0) - room, rows.max(0) + room
    return np.linspace(low[0], high[0], 2), np.linspace(low[1], high[1], 2)


def _models(shown: Mapping[str, Shown]) -> dict[str, Shown]:
    return {name: arrays for name, arrays in shown.items() if name != "data"}


def _flat(rows: np.ndarray, size: int | None = None) -> np.ndarray:
    return rows.reshape(-1, size) if size else rows.reshape(len(rows), -1)


def _scale_of_images(data: Shown) -> tuple[tuple[int, ...], float, float]:
    rows = data["shown"]
    return tuple(int(n) for n in data["image_shape"]), float(rows.min()), float(rows.max())
