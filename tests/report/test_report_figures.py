"""The pictures: what is drawn lies where the numbers say."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
import report_examples
from PIL import Image
from report_html import Parsed

from energax.report import figures
from energax.report.figures._svg import Scale, View, tag, tick_texts


def paths(markup: str, class_: str) -> list[np.ndarray]:
    """The points of every path of one class."""
    found = []
    for attributes in Parsed(markup).attributes("path"):
        if attributes.get("class") == class_:
            numbers = re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", attributes["d"] or "")
            found.append(np.asarray(numbers, dtype=float))
    return found


def png(source: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",", 1)[1]))))


def box(markup: str) -> tuple[float, float]:
    size = Parsed(markup).attributes("svg")[0]["viewbox"]
    assert size is not None
    return float(size.split()[2]), float(size.split()[3])


@pytest.mark.parametrize("name", ["digits", "planar", "table", "failing"])
def test_nothing_is_drawn_outside_its_picture(pages, name):
    content = pages[name].read_text("utf-8")
    for svg in re.findall(r"<svg viewBox=.*?</svg>", content, flags=re.DOTALL):
        width, height = box(svg)
        page = Parsed(svg)
        points = [p for a in page.attributes("path") for p in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", a["d"] or "")]
        points += [(a["x"], a["y"]) for a in page.attributes("text")]
        points += [(a[f"x{k}"], a[f"y{k}"]) for a in page.attributes("line") for k in (1, 2)]
        points += [(a["cx"], a["cy"]) for a in page.attributes("circle")]
        xy = np.asarray(points, dtype=float)
        assert xy.size
        assert (xy >= -0.01).all()
        assert (xy[:, 0] <= width + 0.01).all()
        assert (xy[:, 1] <= height + 0.01).all()


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 1), (-3.7, 12.2), (0, 5000), (0, 250_000), (1e-5, 9e-5), (200.1, 200.3), (-1e12, 4e12), (0, 3)],
)
def test_ticks_are_few_round_and_inside_and_their_labels_differ(low, high):
    ticks = Scale(View(low, high), 0.0, 1.0).ticks(4)
    labels = tick_texts(ticks)
    assert 3 <= len(ticks) <= 8
    assert all(low - 1e-9 * abs(low) <= t <= high * (1 + 1e-9) for t in ticks)
    assert len(set(labels)) == len(labels)
    assert max(len(t) for t in labels) <= 12


def test_logarithmic_axes_have_powers_of_ten():
    assert tick_texts(Scale(View(0.5, 2e9, "log"), 0.0, 1.0).ticks(4), powers=True) == ["10⁰", "10³", "10⁶", "10⁹"]
    labels = tick_texts(Scale(View(-1e8, 1e8, "symlog", 1.0), 0.0, 1.0).ticks(4), powers=True)
    assert labels[len(labels) // 2] == "0"
    assert labels[0].startswith("−10")
    assert labels == [t.replace("−", "") if k > len(labels) // 2 else t for k, t in enumerate(labels)]


@pytest.mark.parametrize("view", [View(-3.0, 5.0), View(0.01, 1e6, "log"), View(-1e9, 1e9, "symlog", 2.0)])
def test_scales_keep_the_order_and_stop_at_the_edge(view):
    values = np.sort(np.random.default_rng(0).uniform(max(view.low, 0.01), view.high, 50))
    scale = Scale(view, 100.0, 20.0)
    places = scale(values)
    assert (np.diff(places) <= 0).all()
    assert np.allclose(scale([view.low, view.high]), [100.0, 20.0])
    assert float(scale(view.high * 2)) == 20.0


def test_attributes_are_escaped():
    assert tag("a", b='"><script>') == '<a b="&quot;&gt;&lt;script&gt;"></a>'


def curve(values, **options):
    history = [{"step": 10 * k, "loss": v} for k, v in enumerate(values)]
    return figures.learning_curve("Loss", history, [figures.Series("loss", "loss", "truth")], **options)


def test_a_curve_goes_through_its_values():
    figure = curve([0.0, 5.0, 10.0])
    points = paths(figure.markup, "line truth")[0]
    assert points[0, 1] > points[1, 1] > points[2, 1]
    assert points[1, 1] == pytest.approx((points[0, 1] + points[2, 1]) / 2, abs=0.02)
    assert points[1, 0] == pytest.approx((points[0, 0] + points[2, 0]) / 2, abs=0.02)
    assert "loss: 0 at step 0, 10.00 at step 20, between 0 and 10.00" in figure.markup


def test_a_spike_in_a_long_history_is_not_lost():
    values = np.sin(np.arange(5000) / 300)
    values[2345] = 4.0
    figure = curve(values)
    middle, band = paths(figure.markup, "line truth")[0], paths(figure.markup, "band truth")[0]
    assert len(middle) <= 140
    top = float(np.min(band[:, 1]))
    assert top < np.min(middle[:, 1]) - 20
    assert "and 4.000." in figure.markup


def test_values_that_are_not_finite_leave_a_gap_and_are_counted():
    figure = curve([1.0, 2.0, float("nan"), None, 3.0, 2.0])
    d = next(a["d"] for a in Parsed(figure.markup).attributes("path") if a["class"] == "line truth")
    assert d is not None
    assert d.count("M") == 2
    assert "2 logged values were not finite" in figure.note
    assert curve([float("nan")]) is None
    assert figures.learning_curve("x", [], [figures.Series("x", "x", "model")]) is None


def test_an_outlier_does_not_flatten_the_curve():
    values = [1.0 + 0.1 * (k % 3) for k in range(60)]
    values[30] = -900.0
    figure = curve(values)
    points = paths(figure.markup, "line truth")[0]
    usual = np.delete(points[:, 1], 30)
    assert np.ptp(usual) > 40
    assert "One value, −900, lies beyond the axis" in figure.note


def test_a_runaway_is_drawn_on_a_bent_axis():
    values = [(-1.0) ** k * 10.0 ** (max(0, k - 40) / 2) for k in range(60)]
    figure = curve(values)
    assert "on both sides of zero" in figure.note
    assert curve([10.0 ** (k / 4) for k in range(40)]).note == "Logarithmic scale."


def test_events_are_marked_at_their_steps_even_after_the_last_row():
    figure = curve([0.0, 1.0, 2.0], marks=[figures.Mark(1, 10.0), figures.Mark(2, 40.0)])
    lines = [a for a in Parsed(figure.markup).attributes("line") if a.get("class") == "event"]
    points = paths(figure.markup, "line truth")[0]
    assert float(lines[0]["x1"] or 0) == pytest.approx(points[1, 0], abs=0.02)
    assert float(lines[1]["x1"] or 0) > points[2, 0] + 10


def test_histograms_hold_the_shares():
    rng = np.random.default_rng(0)
    data, model = rng.normal(0, 1, 4000), rng.normal(3, 1, 500)
    figure = figures.energy_histograms([figures.Sample("data", "data", data), figures.Sample("model", "model", model)])[
        0
    ]
    for values, role in ((data, "data"), (model, "model")):
        outline = paths(figure.markup, f"line {role}")[0]
        area = np.trapezoid(outline[0, 1] - outline[:, 1], outline[:, 0])
        middle = np.trapezoid((outline[0, 1] - outline[:, 1]) * outline[:, 0], outline[:, 0]) / area
        if role == "data":
            reference = (area, middle)
        else:
            assert area == pytest.approx(reference[0], rel=0.03)
            assert middle > reference[1] + 50
        assert values.size


def test_noise_far_away_gets_a_figure_of_its_own():
    rng = np.random.default_rng(0)
    near = [
        figures.Sample("data", "data", rng.normal(0, 1, 99)),
        figures.Sample("model", "model", rng.normal(0, 1, 99)),
    ]
    assert len(figures.energy_histograms([*near, figures.Sample("noise", "noise", rng.normal(5, 1, 99))])) == 1
    both = figures.energy_histograms([*near, figures.Sample("noise", "noise", rng.normal(500, 1, 99))])
    assert len(both) == 2
    assert not paths(both[0].markup, "line noise")
    assert paths(both[1].markup, "line noise")
    assert figures.energy_histograms([]) == []
    constant = [figures.Sample("data", "data", np.full(7, 2.0))]
    assert len(figures.energy_histograms(constant)) == 1


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1), (1, 4, 6), (4, 6, 3), (3, 4, 6)])
def test_the_pixels_of_a_grid_are_those_of_the_images(shape):
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (23, int(np.prod(shape)))).astype(float)
    figure = figures.image_grid("Images", images, shape, low=0.0, high=255.0)
    sheet = png(Parsed(figure.markup).attributes("img")[0]["src"] or "")
    tiles = images.reshape(23, *shape)
    if len(shape) == 3 and shape[0] in (1, 3):
        tiles = np.moveaxis(tiles, 1, -1)
    tiles = tiles if tiles.ndim == 4 else tiles[..., None]
    assert sheet.shape == (2 * 5 - 1, 10 * 7 - 1, 4)
    for k in range(20):
        top, left = (k // 10) * 5, (k % 10) * 7
        assert (sheet[top : top + 4, left : left + 6, :3] == tiles[k]).all()
    assert (sheet[4, :, 3] == 0).all()
    assert figure.note == ""


def test_grey_runs_from_the_lowest_to_the_highest_value_and_says_what_is_beyond():
    images = np.asarray([[-1.0, 0.0, 1.0, 3.0]])
    figure = figures.image_grid("Images", images, (2, 2), low=-1.0, high=1.0)
    sheet = png(Parsed(figure.markup).attributes("img")[0]["src"] or "")
    assert sheet[..., 0].ravel().tolist() == [0, 128, 255, 255]
    assert figure.note.startswith("25 % of these pixels")


def test_the_zoom_is_whole_and_fits_a_phone():
    for size in (8, 16, 28, 32, 64):
        figure = figures.image_grid("Images", np.zeros((60, size * size)), (size, size), low=0.0, high=1.0)
        attributes = Parsed(figure.markup).attributes("img")[0]
        found = re.fullmatch(r"--w:(\d+);--phone:(\d+);--desk:(\d+)", attributes["style"] or "")
        assert found is not None
        width, phone, desk = (int(v) for v in found.groups())
        assert phone >= 1
        assert desk >= phone
        assert width * phone <= 328


def test_pairs_stand_one_above_the_other_and_apart_from_the_next():
    upper = np.arange(12.0).reshape(12, 1) * np.ones((1, 4))
    figure = figures.image_pairs("Pairs", upper, 100 + upper, (2, 2), low=0.0, high=255.0)
    source = Parsed(figure.markup).attributes("img")[0]["src"]
    assert source is not None
    sheet = png(source)
    # ten pairs of 2 × 2 pixels in a double row; two more would not fill another one
    assert sheet.shape[:2] == (5, 29)
    opaque = sheet[..., 3] == 255
    np.testing.assert_array_equal(sheet[0, ::3, 0], np.arange(10))
    np.testing.assert_array_equal(sheet[3, ::3, 0], 100 + np.arange(10))
    assert not opaque[2].any()
    more = figures.image_pairs("Pairs", np.zeros((30, 4)), np.zeros((30, 4)), (2, 2), low=0.0, high=1.0)
    source = Parsed(more.markup).attributes("img")[0]["src"]
    assert source is not None
    rows = (png(source)[..., 3] == 255).any(axis=1)
    assert "".join("#" if row else "." for row in rows) == "...".join(["##.##"] * 3)


def test_a_density_map_is_the_right_way_up():
    x, y = np.linspace(-1, 1, 40), np.linspace(-1, 1, 30)
    gx, gy = np.meshgrid(x, y)
    log_density = -((gx - 0.7) ** 2 + (gy - 0.6) ** 2) / 0.02
    figure = figures.density_map(
        figures.Map("Model", log_density, np.asarray([[0.7, 0.6], [9.0, 0.0]]), "model"), x, y, top=0.0, name="m"
    )
    page = Parsed(figure.markup)
    image = page.attributes("image")[0]
    pixels = png(image["href"] or "")
    row, column = np.unravel_index(np.argmax(pixels), pixels.shape)
    left, top, width, height = (float(image[k] or 0) for k in ("x", "y", "width", "height"))
    dot = paths(figure.markup, "dots model")[0]
    assert dot.shape == (1, 2)
    assert dot[0, 0] == pytest.approx(left + width * (column + 0.5) / pixels.shape[1], abs=width / 40)
    assert dot[0, 1] == pytest.approx(top + height * (row + 0.5) / pixels.shape[0], abs=height / 30)
    assert dot[0, 1] < top + height / 2


def test_the_interval_lies_where_its_numbers_say_and_shows_the_kinds_of_its_ends():
    result = {
        **report_examples.interval(-10.0, -8.0, "assumes-equilibrium", "certified"),
        "stderr_test": 0.5,
        "unit": "nats",
    }
    found = figures.likelihood_charts(
        result, [{"name": "b", "test_log_likelihood": -12.0, "stderr_test": 0.5}], model="rbm"
    )
    assert len(found) == 1
    page = Parsed(found[0].markup)
    bar = next(a for a in page.attributes("line") if a.get("class") == "bar thick model")
    dot = page.attributes("circle")[0]
    left, right, baseline = float(bar["x1"] or 0), float(bar["x2"] or 0), float(dot["cx"] or 0)
    assert (left - baseline) / (right - left) == pytest.approx(1.0, abs=0.01)
    brackets = [a["d"] or "" for a in page.attributes("path") if a.get("class") == "bar model"]
    assert "Q" in brackets[0]
    assert "V" in brackets[1]


def test_a_narrow_interval_is_shown_close_up_and_an_open_one_with_an_arrow():
    result = {**report_examples.interval(-10.0, -9.9, "exact", "exact"), "stderr_test": 0.1, "unit": "nats"}
    far = [{"name": "uniform", "test_log_likelihood": -44.0}]
    assert len(figures.likelihood_charts(result, far, model="m")) == 2
    open_end = {**report_examples.interval(None, -9.9, "none", "certified"), "stderr_test": 0.1}
    chart = figures.likelihood_charts(open_end, far, model="m")[0]
    shapes = [a["d"] or "" for a in Parsed(chart.markup).attributes("path") if a.get("class") == "bar model"]
    assert shapes[0].count("L") == 2
    assert figures.likelihood_charts(report_examples.interval(None, None, "none", "none"), far, model="m") == []
