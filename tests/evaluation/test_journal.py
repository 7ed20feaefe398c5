"""A journal gives back what was kept, type by type, runs nothing that a file names, and changes no number."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import energies, evaluation
from energax.estimators import Interval
from energax.evaluation import _journal
from energax.evaluation._journal import journal, kept
from energax.sampling import SpinLadders


def twice(tmp_path, value):
    """What comes back of a value, and how often it was made."""
    made = []

    def step():
        made.append(1)
        return value

    for _ in range(2):
        with journal(tmp_path):
            found = kept(step)
    return found, len(made)


def test_every_type_comes_back(tmp_path):
    ladders = SpinLadders(jnp.ones((2, 3, 4), jnp.uint32), jnp.zeros((4, 32), jnp.int32))
    value = {
        "numbers": (1, 2.5, True, None, "text", np.float64(0.1), float("inf")),
        3: [np.arange(3, dtype=np.int8), jnp.full((2,), 0.5, jnp.float16)],
        "interval": Interval(0.0, 1.0, "certified", "none", 0.95),
        "ladders": ladders,
    }
    found, made = twice(tmp_path, value)
    assert made == 1
    assert found["numbers"] == value["numbers"]
    assert [type(a) for a in found["numbers"]] == [type(a) for a in value["numbers"]]
    assert isinstance(found[3][1], jax.Array)
    assert isinstance(found["ladders"], SpinLadders)
    assert found["interval"] == value["interval"]
    for a, b in zip(jax.tree.leaves((found[3], found["ladders"])), jax.tree.leaves((value[3], ladders)), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_steps_have_their_order_and_nothing_is_kept_without_a_journal(tmp_path):
    with journal(tmp_path / "a"):
        assert [kept(lambda i=i: i) for i in range(3)] == [0, 1, 2]
    with journal(tmp_path / "a"):
        assert [kept(lambda: -1) for _ in range(4)] == [0, 1, 2, -1]
    assert kept(lambda: 5) == 5


def test_damaged_files_are_made_anew(tmp_path):
    twice(tmp_path, 1)
    (path,) = tmp_path.glob("*.npz")
    path.write_bytes(path.read_bytes()[:40])
    assert twice(tmp_path, 1) == (1, 1)
    path.write_bytes(b"")
    assert twice(tmp_path, 1) == (1, 1)


@pytest.mark.parametrize("where", [("energax.nowhere", "A"), ("energax.estimators", "Gone")])
def test_a_class_that_has_gone_is_made_anew(tmp_path, where):
    np.savez(tmp_path / "00001.npz", told=np.asarray(json.dumps({"class": where, "fields": {}})))
    assert twice(tmp_path, 7) == (7, 1)


def test_a_file_cannot_name_a_class_of_others(tmp_path):
    told = {"class": ["subprocess", "Popen"], "fields": {"args": {"plain": "false"}}}
    np.savez(tmp_path / "00001.npz", told=np.asarray(json.dumps(told)))
    assert twice(tmp_path, 7) == (7, 1)


def test_what_cannot_be_kept_is_said(tmp_path):
    with pytest.raises(TypeError, match="A set cannot be kept"):
        twice(tmp_path, {1, 2})


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (lambda: energies.Ising(4), {}),
        pytest.param(lambda: energies.RBM(8, 6, scale=0.5, key=jax.random.key(0)), {}, marks=pytest.mark.slow),
        pytest.param(lambda: energies.Ising(4), {"method": "multicanonical"}, marks=pytest.mark.slow),
        pytest.param(lambda: energies.Ising(4), {"method": "wang-landau"}, marks=pytest.mark.slow),
        pytest.param(lambda: energies.Potts(4, 3), {}, marks=pytest.mark.slow),
        pytest.param(lambda: energies.ManyWell(2), {}, marks=pytest.mark.slow),
    ],
    ids=["packed", "annealing", "multicanonical", "wang-landau", "replicas", "path"],
)
def test_an_estimate_that_goes_on_ends_in_the_same_bits(tmp_path, monkeypatch, model, options):
    """Half of the steps are lost: they are made again, no others are, and the numbers are those of one go."""

    def ask():
        found = evaluation.log_z(model(), budget=60_000 if not options else 600_000, key=jax.random.key(3), **options)
        return found.value, found.interval, json.dumps(found.diagnostics, default=str)

    plain = ask()
    with journal(tmp_path):
        assert ask() == plain
    files = sorted(tmp_path.glob("*.npz"))
    for path in files[len(files) // 2 :]:
        path.unlink()
    written, write = [], _journal._write
    monkeypatch.setattr(_journal, "_write", lambda path, value: (written.append(path), write(path, value)))
    with journal(tmp_path):
        assert ask() == plain
    assert written == files[len(files) // 2 :]
    assert len(written) < len(files)
