"""What the model draws, beside the data: images, the plane, or the columns of a table."""

from __future__ import annotations

import numpy as np

from energax.report._blocks import Block, Figures, Section, Table, Text
from energax.report._summary import Floats, SummaryLike, finite, grid, rows
from energax.report.figures import (
    Map,
    Sample,
    correlation_scatter,
    density_map,
    energy_histograms,
    image_grid,
    image_pairs,
    marginal,
)
from energax.report.sections._facts import kind
from energax.report.tables import (
    Row,
    fixed,
    number,
    quality_rows,
)

_MOST_COLUMNS = 12
_WORST_PAIRS = 5


def samples_section(summary: SummaryLike) -> Section:
    """Samples beside data in the form that fits the kind of data, energies, and the measures of quality."""
    drawers = {"image": _images, "planar": _plane, "table": _columns}
    blocks = drawers[kind(summary)](summary) if _has_samples(summary) else [_nothing()]
    energies = [
        Sample(name, role, values)
        for name, role, key in (
            ("data", "data", "energy_data"),
            ("model", "model", "energy_model"),
            ("noise", "noise", "energy_noise"),
        )
        if (values := finite(summary, key)) is not None
    ]
    histograms = energy_histograms(energies)
    if histograms:
        blocks.append(Figures(histograms, span="medium" if len(histograms) == 1 else ""))
    quality = quality_rows(summary.evaluation)
    if quality:
        blocks.append(
            Table("Distance from held-out data, and the check against memorising", ("", "value", "meaning"), quality)
        )
    return Section("samples", "Samples beside data", blocks)


def _nothing() -> Block:
    return Text("There are no samples in this summary. They are drawn by energax evaluate and energax report.", "note")


def _has_samples(summary: SummaryLike) -> bool:
    named = any(rows(summary, name) is not None for name in ("data_sample", "model_sample"))
    return named or grid(summary, "grid_model") is not None


def _images(summary: SummaryLike) -> list[Block]:
    shape = summary.image_shape
    if shape is None:
        return _columns(summary)
    data, model = rows(summary, "data_sample"), rows(summary, "model_sample")
    reference = data if data is not None else model
    assert reference is not None, "the caller has checked that there are samples"
    low, high = float(reference.min()), float(reference.max())
    figures = [
        image_grid(title, images, shape, low=low, high=high)
        for title, images in (("Held-out data", data), ("Drawn by the model", model))
        if images is not None and images.shape[1] == int(np.prod(shape))
    ]
    if not figures:
        return [_nothing()]
    blocks: list[Block] = [Figures(figures)]
    if len(figures) == 2:
        blocks.insert(0, Text("Not in pairs: the model draws new images, it does not copy these ones."))
    nearest = rows(summary, "nearest_train")
    if nearest is not None and model is not None and nearest.shape[1] == model.shape[1]:
        note = (
            "Upper rows: the first draws of the grid above. Below each: the training image that comes nearest to it. "
        )
        note += "A model that memorises draws copies; one that has learned draws images of its own."
        title = "Nearest training images"
        blocks.append(
            Figures([image_pairs(title, model, nearest, shape, low=low, high=high, note=note)], span="medium")
        )
    return blocks


def _plane(summary: SummaryLike) -> list[Block]:
    data, model = rows(summary, "data_sample"), rows(summary, "model_sample")
    maps = [
        (name, Map(title, found[2], points, role), found)
        for name, title, key, points, role in (
            ("density-truth", "Truth, with data", "grid_truth", data, "data"),
            ("density-model", "Model, with its samples", "grid_model", model, "model"),
        )
        if (found := grid(summary, key)) is not None and np.isfinite(found[2]).any()
    ]
    if not maps:
        return _columns(summary)
    top = max(float(np.max(picture.log_density[np.isfinite(picture.log_density)])) for _, picture, _ in maps[:1])
    figures = [density_map(picture, x, y, top=top, name=name) for name, picture, (x, y, _) in maps]
    note = "Shades grow with the square root of the density, so that faint bridges between modes can be seen"
    note += "; both maps have the same scale." if len(maps) == 2 else "."
    return [Figures(figures), Text(note, "note")]


def _columns(summary: SummaryLike) -> list[Block]:
    data, model = rows(summary, "data_sample"), rows(summary, "model_sample")
    if data is None and model is None:
        return [_nothing()]
    if data is None or model is None or data.shape[1] != model.shape[1]:
        only = data if data is not None else model
        assert only is not None, "one of the two is there"
        return [
            Figures(
                [marginal(_column_name(summary, k), only[:, k], None) for k in range(min(only.shape[1], _MOST_COLUMNS))]
            )
        ]
    distance = np.asarray([_distance(data[:, k], model[:, k]) for k in range(data.shape[1])])
    worst = np.sort(np.argsort(-distance, kind="stable")[:_MOST_COLUMNS])
    blocks: list[Block] = []
    if data.shape[1] > _MOST_COLUMNS:
        blocks.append(
            Text(
                f"The {_MOST_COLUMNS} of {number(data.shape[1])} columns on which the model differs most from the data."
            )
        )
    blocks.append(Figures([marginal(_column_name(summary, int(k)), data[:, k], model[:, k]) for k in worst]))
    return blocks + _pairs(summary, data, model)


def _pairs(summary: SummaryLike, data: Floats, model: Floats) -> list[Block]:
    """Scatter of the pair correlations, and the pairs that the model gets most wrong."""
    varies = np.flatnonzero((data.std(axis=0) > 0) & (model.std(axis=0) > 0))
    if varies.size < 2 or len(data) < 3 or len(model) < 3:
        return [Text("Pair correlations need two columns that vary.", "note")]
    i, j = np.triu_indices(varies.size, k=1)
    in_data, in_model = (np.asarray(np.corrcoef(x[:, varies], rowvar=False))[i, j] for x in (data, model))
    worst = np.argsort(-np.abs(in_data - in_model), kind="stable")[:_WORST_PAIRS]
    table = [
        Row(
            f"{_column_name(summary, int(varies[i[k]]))} and {_column_name(summary, int(varies[j[k]]))}",
            fixed(float(in_model[k]), 2),
            f"data {fixed(float(in_data[k]), 2)}",
        )
        for k in worst
    ]
    return [
        Figures([correlation_scatter(in_data, in_model)], span="medium"),
        Table("Pairs whose correlation differs most", ("pair", "in the model", "compare"), table),
    ]


def _column_name(summary: SummaryLike, k: int) -> str:
    names = summary.data.get("columns")
    return str(names[k]) if isinstance(names, list | tuple) and len(names) > k else f"column {k + 1}"


def _distance(a: Floats, b: Floats) -> float:
    """Largest difference of the two empirical distribution functions."""
    places = np.concatenate([a, b])
    shares = [np.searchsorted(np.sort(values), places, side="right") / values.size for values in (a, b)]
    return float(np.max(np.abs(shares[0] - shares[1])))
