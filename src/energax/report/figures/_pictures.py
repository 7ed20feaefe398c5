"""Pictures made of pixels: grids of images and density maps, embedded as PNG."""

from __future__ import annotations

import base64
import io
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from energax._errors import MissingExtra
from energax.report._blocks import Figure
from energax.report._summary import Floats
from energax.report.figures._svg import Frame, Scale, View, dots, drawing, tag
from energax.report.tables import number, share

Bytes = NDArray[np.uint8]

_MOST_CELLS = 256
_MOST_DOTS = 500
_DOUBLE_ROWS = 3


class Map(NamedTuple):
    """One density map: title, log-density (y, x), the points drawn over it and their CSS role."""

    title: str
    log_density: Floats
    points: Floats | None
    role: str


def image_grid(title: str, images: Floats, shape: tuple[int, ...], *, low: float, high: float) -> Figure:
    """Images in rows, each pixel a square of whole screen pixels.

    Args:
        title: Name of the figure.
        images: (n, ...) with as many numbers in each as `shape` has.
        shape: (H, W), (H, W, 1), (H, W, 3), (1, H, W) or (3, H, W).
        low: Value drawn darkest; values below it are drawn like it, and the note tells how many there are.
        high: Value drawn lightest.
    """
    tiles = _tiles(images, shape)
    height, width = tiles.shape[1:3]
    columns = _columns_for(width, len(tiles))
    shown = tiles[: columns * max(1, min(10, columns + 2, len(tiles) // columns))]
    description = f"{title}: {len(shown)} images of {height} × {width} pixels in rows of {columns}."
    picture = _embedded(_sheet(_bytes(shown, low, high), columns), description)
    slack = 1e-5 * (high - low)
    outside = float(np.mean((shown < low - slack) | (shown > high + slack)))
    note = f"{share(outside)} of these pixels lie outside the data's range and are drawn at its end." if outside else ""
    return Figure(title, picture, note=note)


def image_rows(title: str, rows: Floats, shape: tuple[int, ...], *, low: float, high: float) -> Figure:
    """Rows of images, each from its first to its last.

    Args:
        title: Name of the figure.
        rows: (row, place, ...) with as many numbers in each image as `shape` has.
        shape: As for `image_grid`.
        low: Value drawn darkest.
        high: Value drawn lightest.
    """
    num, places = rows.shape[:2]
    tiles = _bytes(_tiles(rows.reshape(num * places, -1), shape), low, high)
    description = f"{title}: {num} rows of {places} images of {tiles.shape[1]} × {tiles.shape[2]} pixels."
    return Figure(title, _embedded(_sheet(tiles, places), description))


def image_pairs(
    title: str, upper: Floats, lower: Floats, shape: tuple[int, ...], *, low: float, high: float, note: str = ""
) -> Figure:
    """Pairs of images, one above the other, in two or three double rows.

    Args:
        title: Name of the figure.
        upper: (n, ...) images.
        lower: (m, ...) images; the first min(n, m) pairs are shown, as far as there is room.
        shape: As for `image_grid`.
        low: Value drawn darkest.
        high: Value drawn lightest.
        note: How to read the figure.
    """
    pairs = [_bytes(_tiles(images, shape), low, high) for images in (upper, lower)]
    height, width = pairs[0].shape[1:3]
    num = min(len(pairs[0]), len(pairs[1]))
    columns = _columns_for(width, num)
    shown = columns * max(1, min(_DOUBLE_ROWS, num // columns))
    strips = []
    for start in range(0, min(num, shown), columns):
        both = [tiles[start : min(start + columns, num)] for tiles in pairs]
        strips += [_sheet(np.concatenate(both), len(both[0])), np.zeros((3, 1, 4), np.uint8)]
    sheet = np.concatenate([_widened(strip, columns * (width + 1) - 1) for strip in strips[:-1]])
    description = f"{title}: {min(num, shown)} pairs of images of {height} × {width} pixels, one above the other."
    return Figure(title, _embedded(sheet, description), note=note)


def density_map(picture: Map, x: Floats, y: Floats, *, top: float, name: str) -> Figure:
    """Density over the plane as shades, with points on it.

    Args:
        picture: What to draw.
        x: Grid along x, increasing.
        y: Grid along y, increasing.
        top: Log-density of the darkest shade, common to all maps that are compared.
        name: Name of the mask within the page, different for each map.
    """
    side = 300.0
    wide, tall = float(x[-1] - x[0]), float(y[-1] - y[0])
    scale = side / max(wide, tall)
    width, height = wide * scale, tall * scale
    left = 30.0 + (side - width) / 2
    plot = Frame(
        Scale(View(float(x[0]), float(x[-1])), left, left + width),
        Scale(View(float(y[0]), float(y[-1])), 8.0 + height, 8.0),
        height=height + 34.0,
    )
    shades = np.sqrt(np.exp(np.minimum(np.nan_to_num(_thinned(picture.log_density), nan=-np.inf) - top, 0.0)))
    cells = np.rint(255.0 * shades[::-1]).astype(np.uint8)
    box = {"x": left, "y": 8.0, "width": width, "height": height}
    body = [
        tag("mask", tag("image", href=_png(cells), preserveAspectRatio="none", **box), id=name),
        tag("rect", **box, class_="ink", mask=f"url(#{name})"),
        *plot.axes(grid=False),
        tag("rect", **box, class_="box"),
    ]
    label = f"{picture.title}: density over the square from {number(x[0])} to {number(x[-1])}"
    if picture.points is not None and picture.points.size:
        inside = picture.points[:_MOST_DOTS]
        inside = inside[
            (inside[:, 0] >= x[0]) & (inside[:, 0] <= x[-1]) & (inside[:, 1] >= y[0]) & (inside[:, 1] <= y[-1])
        ]
        body.append(dots(plot.x(inside[:, 0]), plot.y(inside[:, 1]), f"dots {picture.role}"))
        label += f", with {len(inside)} points drawn on it"
    return Figure(picture.title, drawing(body, height=plot.height, label=f"{label}."))


def _tiles(images: Floats, shape: tuple[int, ...]) -> Floats:
    """(n, H, W, channels) whatever the order of the axes; another number of channels becomes their mean."""
    tiles = images.reshape(len(images), *shape)
    if len(shape) == 2:
        return tiles[..., None]
    if len(shape) == 3 and shape[0] in (1, 3) and shape[-1] not in (1, 3):
        tiles = np.moveaxis(tiles, 1, -1)
    return tiles if tiles.shape[-1] in (1, 3) else tiles.mean(axis=-1, keepdims=True)


def _bytes(tiles: Floats, low: float, high: float) -> Bytes:
    span = high - low if high > low else 1.0
    level = np.clip((np.nan_to_num(tiles, nan=low) - low) / span, 0.0, 1.0)
    return np.rint(255.0 * level).astype(np.uint8)


def _sheet(tiles: Bytes, columns: int) -> Bytes:
    """Tiles in rows with a transparent gap of one pixel, as RGBA."""
    num, height, width, channels = tiles.shape
    rows = -(-num // columns)
    sheet = np.zeros((rows * (height + 1) - 1, columns * (width + 1) - 1, 4), np.uint8)
    for k in range(num):
        top, left = (k // columns) * (height + 1), (k % columns) * (width + 1)
        block = sheet[top : top + height, left : left + width]
        block[..., :3] = tiles[k] if channels == 3 else np.repeat(tiles[k], 3, axis=-1)
        block[..., 3] = 255
    return sheet


def _columns_for(width: int, num: int) -> int:
    return min(int(np.clip(150 // (width + 1), 4, 10)), num)


def _widened(strip: Bytes, width: int) -> Bytes:
    return np.pad(strip, ((0, 0), (0, width - strip.shape[1]), (0, 0)))


def _embedded(sheet: Bytes, description: str) -> str:
    height, width = sheet.shape[:2]
    phone, desk = max(1, 316 // width), max(1, 448 // width)
    return (
        f'<img class="pixels" alt="{description}" width="{width}" height="{height}" '
        f'style="--w:{width};--phone:{phone};--desk:{desk}" src="{_png(sheet)}">'
    )


def _thinned(values: Floats) -> Floats:
    """At most `_MOST_CELLS` cells a side: a screen shows no more."""
    rows, columns = (max(1, -(-n // _MOST_CELLS)) for n in values.shape)
    return values[::rows, ::columns]


def _png(pixels: Bytes) -> str:
    """A PNG as a data address: grey for (H, W), colour with transparency for (H, W, 4)."""
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtra(
            'Pictures in the report need Pillow. Install it with: pip install "energax[cli]".'
        ) from error
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
