"""Numbers as text, and the rows that the page and the terminal share."""

from __future__ import annotations

import math
import re
import subprocess
import sys

import numpy as np
import pytest
import report_examples

from energax.report import tables


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (3, "3"),
        (-1234567, "−1,234,567"),
        (-0.012345, "−0.01235"),
        (1234.567, "1,235"),
        (99.99999, "100.00"),
        (3.2e9, "3.200 × 10⁹"),
        (-4.56e-7, "−4.560 × 10⁻⁷"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (math.nan, tables.MISSING),
        (None, tables.MISSING),
        ("", tables.MISSING),
        ([1.0], tables.MISSING),
        ("rbm", "rbm"),
        (True, "yes"),
        (np.float32(2.5), "2.500"),
        (np.int64(12000), "12,000"),
    ],
)
def test_number(value, text):
    assert tables.number(value) == text


@pytest.mark.parametrize(
    ("value", "stderr", "text"),
    [
        (-84.8699, 0.0342, "−84.870 ± 0.034"),
        (12345.6, 123.0, "12,346 ± 123"),
        (1.0, 0.0, "1.000"),
        (1.0, math.nan, "1.000"),
        (math.nan, 0.1, tables.MISSING),
        (0.5, 1e-15, "0.5000 ± 1.0 × 10⁻¹⁵"),
    ],
)
def test_measured(value, stderr, text):
    assert tables.measured(value, stderr) == text


def test_the_ends_of_an_interval_are_rounded_outwards():
    rng = np.random.default_rng(0)
    for _ in range(2_000):
        lower = float(rng.normal() * 10.0 ** rng.uniform(-2, 5))
        upper = lower + float(10.0 ** rng.uniform(-6, 3))
        low, high = (float(t.replace("−", "-").replace(",", "")) for t in tables.ends(lower, upper))
        slack = 1e-6 * 10.0 ** math.floor(math.log10(upper - lower))
        assert low <= lower + slack
        assert high >= upper - slack
        assert high - low <= 1.25 * (upper - lower) + slack


@pytest.mark.parametrize(
    ("lower", "upper", "text"),
    [
        (-85.3121, -84.9049, "−85.32 to −84.90"),
        (0.1, 0.3, "0.10 to 0.30"),
        (None, -2.0, "at most −2.000"),
        (-math.inf, -2.0, "at most −2.000"),
        (-2.0, None, "at least −2.000"),
        (None, math.nan, tables.MISSING),
        (1.5, 1.5, "1.500"),
    ],
)
def test_interval_text(lower, upper, text):
    assert tables.interval_text({"lower": lower, "upper": upper}) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.934, "93 %"),
        (0.125, "12 %"),
        (0.0004, "0.04 %"),
        (0.9996, "99.96 %"),
        (1.0, "100 %"),
        (0, "0 %"),
        (None, "not available"),
    ],
)
def test_share(value, text):
    assert tables.share(value) == text


def test_share_with_decimals():
    assert tables.share(0.125, decimals=1) == "12.5 %"


@pytest.mark.parametrize(("log_ratio", "text"), [(0.5, "1.6 times"), (8.5, "4,900 times"), (800.0, "e^800.0 times")])
def test_factor(log_ratio, text):
    assert tables.factor(log_ratio) == text


def test_each_end_of_the_likelihood_has_the_ground_of_the_other_end_of_log_z():
    evaluation = report_examples.digits().evaluation
    likelihood = {row.label: row for row in tables.likelihood_rows(evaluation)}
    log_z = {row.label: row for row in tables.log_z_rows(evaluation)}
    assert likelihood["lower end (assumes-equilibrium)"].note == log_z["upper end (assumes-equilibrium)"].note
    assert likelihood["upper end (certified)"].note == log_z["lower end (certified)"].note
    assert "reverse annealing" in likelihood["lower end (assumes-equilibrium)"].note
    assert "however slowly the chains mix" in likelihood["upper end (certified)"].note


def test_every_kind_of_end_has_a_sentence():
    sentences = {
        (kind, way): tables.ground(kind, way)
        for kind in ("exact", "certified", "assumes-equilibrium", "none")
        for way in ("forward", "reverse")
    }
    assert all(s.endswith(".") for s in sentences.values())
    assert "equilibrium" in sentences["assumes-equilibrium", "reverse"]
    assert "do not lean on it" in tables.ground("invented", "forward")


@pytest.mark.parametrize(("exact", "where"), [(51.0, "inside"), (50.0, "OUTSIDE"), (52.0, "OUTSIDE")])
def test_an_exact_log_z_outside_its_interval_is_shouted(exact, where):
    evaluation = {
        "log_z": {**report_examples.interval(50.9, 51.1, "certified", "certified"), "value": 51.0, "exact": exact}
    }
    row = next(r for r in tables.log_z_rows(evaluation) if r.label == "log Z, exact")
    assert where in row.note


def test_baselines_are_sorted_and_those_without_a_number_left_out():
    evaluation = {
        "baselines": [
            {"name": "a", "test_log_likelihood": -3.0, "note": "shrunk"},
            {"name": "b", "test_log_likelihood": None},
            {"name": "c", "test_log_likelihood": -1.0},
        ]
    }
    assert [row.label for row in tables.baseline_rows(evaluation)] == ["c", "a"]
    assert tables.baseline_rows(evaluation)[1].note == "shrunk"


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ({"r_hat": 1.005}, "Good"),
        ({"r_hat": 1.03}, "Nearly"),
        ({"r_hat": 1.2}, "Not mixed"),
        ({"r_hat": math.inf}, "Needs several chains"),
        ({"r_hat": None}, "Needs several chains"),
        ({"ess": 1000.0, "num_chains": 8, "num_draws": 500}, "Good"),
        ({"ess": 150.0}, "Enough for a mean"),
        ({"ess": 12.0}, "Too few"),
        ({"ess": None}, "too short"),
        ({"accept_prob": 0.01}, "stand still"),
        ({"accept_prob": 0.1}, "Low"),
        ({"accept_prob": 0.6}, "useful range"),
        ({"accept_prob": 0.999}, "Very high"),
        ({"tau": None}, "too short"),
        ({"num_nonfinite": 3}, "Rejected and counted"),
    ],
)
def test_each_diagnostic_has_a_verdict(found, verdict):
    rows = tables.chain_rows({"sample_quality": {"diagnostics": found}}, kernel="mala")
    assert verdict in rows[0].note


@pytest.mark.parametrize("kernel", ["block-gibbs", "heat-bath", "BlockGibbs"])
def test_gibbs_kernels_are_not_praised_for_accepting_everything(kernel):
    rows = tables.chain_rows({"sample_quality": {"diagnostics": {"accept_prob": 1.0}}}, kernel=kernel)
    assert "by construction" in rows[0].note


def test_a_new_measure_of_quality_is_shown_under_its_own_name():
    found = {
        "sample_quality": {"energy_distance": {"value": 0.5, "stderr": 0.01, "num_permutations": 99}, "flag": True}
    }
    rows = tables.quality_rows(found)
    assert ("energy distance", "0.500 ± 0.010") in [(r.label, r.value) for r in rows]
    assert ("energy distance: number of permutations", "99") in [(r.label, r.value) for r in rows]


def test_the_overview_of_the_terminal():
    rows = {row.label: row for row in tables.overview_rows(report_examples.digits().evaluation)}
    assert rows["test log-likelihood"].value == "−19.42 to −19.18 nats"
    assert rows["test log-likelihood"].note == "95 %; lower end assumes-equilibrium, upper end certified"
    assert rows["baseline: independent Bernoulli"].value == "−27.83 ± 0.31 nats"
    assert rows["log Z, estimate"].value == "51.021 ± 0.018 nats"
    assert tables.overview_rows({}) == []
    assert tables.overview_rows(None) == []
    assert {r.label: r.value for r in tables.overview_rows({"data": "x"})}["test log-likelihood"] == tables.MISSING


@pytest.mark.parametrize("name", ["digits", "planar", "table", "failing", "empty"])
def test_all_rows_are_short_plain_texts(name):
    summary = report_examples.every()[name]
    makers = (
        tables.overview_rows,
        tables.likelihood_rows,
        tables.log_z_rows,
        tables.baseline_rows,
        tables.kl_rows,
        tables.mode_mass_rows,
        tables.chain_rows,
        tables.quality_rows,
    )
    rows = [row for make in makers for row in make(summary.evaluation)]
    rows += tables.config_rows(summary.config) + tables.environment_rows(summary.environment)
    rows += tables.event_rows(summary.events)
    for row in rows:
        assert all(isinstance(cell, str) for cell in row)
        assert row.label
        assert row.value
        assert len(row.value) < 120
        assert not re.search(r"\bnan\b|\bNone\b|\binf\b", " ".join(row))


def test_tables_load_nothing_large():
    code = (
        "import sys, energax.report.tables;"
        "print(sorted({'jinja2', 'matplotlib', 'PIL', 'jax', 'rich', 'sklearn'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
