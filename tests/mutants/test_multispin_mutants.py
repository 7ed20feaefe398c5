"""Planted defects of the packed sweeps, each seen by the comparison with the plain path bit by bit."""

import importlib.util
from pathlib import Path

import jax
import numpy as np
import pytest

from energax.kernels import _multispin as multispin

_PATH = Path(__file__).parent.parent / "kernels" / "test_multispin.py"
_SPEC = importlib.util.spec_from_file_location("multispin_checks", _PATH)
checks = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(checks)


def _always_even(num_rows):
    """The neighbour beside a site is on the same side in every row."""
    return np.ones((num_rows, 1), bool)


def _no_carry(a, b):
    """Sums of neighbours without their carries."""
    return a ^ b, a & 0 & b


def _old_spin_upside_down(lattice):
    return multispin_table(lattice)[::-1]


def _logits_not_doubled(lattice):
    return jax.nn.sigmoid(multispin.local_fields(lattice))[None]


multispin_table = multispin.metropolis_table
MUTANTS = {
    "beside": ("neighbour_classes", "_row_is_even", _always_even),
    "carry": ("neighbour_classes", "_add", _no_carry),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_neighbour_is_seen(name, monkeypatch):
    where, part, defect = MUTANTS[name]
    right = getattr(multispin, where)

    def wrong(*arguments):
        with monkeypatch.context() as patch:
            patch.setattr(multispin, part, defect)
            return right(*arguments)

    monkeypatch.setattr(multispin, where, wrong)
    assert_seen()


@pytest.mark.parametrize(
    ("rule", "defect"),
    [
        pytest.param("metropolis", _old_spin_upside_down, marks=pytest.mark.slow),
        pytest.param("heat bath", _logits_not_doubled, marks=pytest.mark.slow),
    ],
)
def test_a_wrong_table_is_seen(rule, defect, monkeypatch):
    monkeypatch.setitem(checks.TABLES, rule, defect)
    assert_seen()


def test_bits_in_the_wrong_order_are_seen(monkeypatch):
    right = multispin.below
    monkeypatch.setattr(multispin, "below", lambda thresholds, classes, keys: right(thresholds, classes, keys[::-1]))
    assert_seen()


def assert_seen():
    jax.clear_caches()
    try:
        with pytest.raises(AssertionError, match="not equal"):
            checks.assert_plain_decisions((8, 8))
    finally:
        jax.clear_caches()
