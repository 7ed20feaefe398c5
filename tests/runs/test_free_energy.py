"""log Z of named models, files and runs, and the page about it."""

from __future__ import annotations

import itertools
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from energax._errors import ArgumentError, DataError, RunError
from energax.cli import main
from energax.energies import read_energy
from energax.evaluation import _journal
from energax.evaluation._rounds import reach
from energax.exact import ising_torus
from energax.exact import log_z as exact_log_z
from energax.runs import load, open_system
from energax.training import checkpoints

FALSE_ALARM = 1e-6


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def statphys(name: str) -> Path:
    return Path(os.environ["ENERGAX_DATA"]) / "statphys" / name


def ask(capsys, command: str) -> dict:
    assert main(f"free-energy {command} --json".split()) == 0
    return json.loads(capsys.readouterr().out)


def test_ising_by_name_with_its_page(capsys):
    found = ask(capsys, "ising --size 4 --beta 0.4 --budget 400000 --out there")
    truth = ising_torus((4, 4), 0.4).log_z
    z = found["log_z"]
    assert set(z) == {"value", "stderr", "lower", "upper", "lower_kind", "upper_kind", "level", "exact"}
    assert z["exact"] == pytest.approx(truth, abs=1e-5)
    assert abs(z["value"] - truth) <= reach(1.0 - FALSE_ALARM) * z["stderr"]
    assert found["method"] == "pt-mbar"
    assert found["free_energy"]["value"] == pytest.approx(-z["value"] / 0.4)
    torus = ising_torus((4, 4), 0.4)
    gap = found["energy"]["value"] - 16 * torus.energy_per_site
    assert abs(gap) <= reach(1.0 - FALSE_ALARM) * found["energy"]["stderr"]
    gap = found["heat_capacity"]["value"] - 16 * torus.heat_capacity_per_site
    assert abs(gap) <= reach(1.0 - FALSE_ALARM) * found["heat_capacity"]["stderr"]
    assert json.loads(Path("there/free_energy.json").read_text())["log_z"] == z
    page = Path("there/report.html").read_text()
    for word in ("log Z", "heat capacity", "entropy", "exact", "assumes-equilibrium", "<span>0.4</span>"):
        assert word in page


@pytest.mark.slow
def test_the_exact_method_and_annealing(capsys):
    exact = ask(capsys, "ising --size 3 --beta 0.3 --method exact")
    assert exact["log_z"]["lower"] == exact["log_z"]["upper"] == pytest.approx(ising_torus((3, 3), 0.3).log_z)
    assert exact["log_z"]["lower_kind"] == "exact"
    annealed = ask(capsys, "double-well --method ais --budget 50000 --out annealed")
    page = Path("annealed/report.html").read_text()
    for word in ("Work of annealing in both directions", "dissipated work", "Crooks"):
        assert word in page
    assert annealed["log_z"]["lower_kind"] == "certified"
    assert annealed["log_z"]["lower"] <= annealed["log_z"]["exact"]
    assert "log Z along the annealing path" in Path(annealed["report"]).read_text()


def test_files_of_couplings_and_weights(capsys):
    rng = np.random.default_rng(0)
    half = np.triu(rng.normal(size=(6, 6)), 1)
    np.savez("dense.npz", J=half + half.T, h=rng.normal(size=6), other=np.zeros(2))
    right, down, field = rng.normal(size=(3, 2)), rng.normal(size=(2, 3)), rng.normal(size=(3, 3))
    np.savez("open.npz", J_h=right, J_v=down, h=field)
    np.savez("machine.npz", W=rng.normal(size=(5, 3)), b=rng.normal(size=5), c=rng.normal(size=3))
    Path("graph.txt").write_text("3 2\n1 2 1\n2 3 -1\n")
    Path("net.uai").write_text("MARKOV\n1\n2\n1\n1 0\n2\n4 6\n")
    s = np.asarray([1, -1, 1, 1, -1, -1], np.int8)
    dense = read_energy("dense.npz")
    with np.load("dense.npz") as stored:
        assert float(dense(s)) == pytest.approx(-s @ half @ s - stored["h"] @ s, rel=1e-5)
    t = np.asarray([[1, -1, 1], [1, 1, -1], [-1, 1, 1]], np.int8)
    want = -np.sum(right * t[:, :-1] * t[:, 1:]) - np.sum(down * t[:-1] * t[1:]) - np.sum(field * t)
    assert float(read_energy("open.npz")(t)) == pytest.approx(want, rel=1e-5)
    for name in ("dense.npz", "open.npz", "machine.npz", "graph.txt", "net.uai"):
        found = ask(capsys, f"{name} --method exact")
        assert found["log_z"]["value"] == pytest.approx(exact_log_z(read_energy(name)), abs=1e-6)
    assert found["log_z"]["value"] == pytest.approx(math.log(10.0), abs=1e-6)
    sites = ask(capsys, "net.uai --budget 60000 --width 0.5 --out net")["marginals"]
    ((_, probability),), ((_, stderr),) = sites["probability"], sites["stderr"]
    assert abs(probability - 0.6) <= reach(1.0 - FALSE_ALARM) * stderr
    assert "Marginals" in Path("net/report.html").read_text()


@pytest.mark.slow
def test_both_sides_of_a_machine(capsys):
    """Units with their biases and weights exchanged, or the mean of the wrong side, would be off by tens of bars."""
    rng = np.random.default_rng(1)
    weights, b, c = 1.5 * rng.normal(size=(5, 3)), rng.normal(size=5), rng.normal(size=3)
    np.savez("machine.npz", W=weights, b=b, c=c)
    found = ask(capsys, "machine.npz --method pt-mbar --budget 100000 --out machine")
    v, h = (np.asarray(list(itertools.product((0, 1), repeat=n))) for n in (5, 3))
    law = np.exp((v @ b)[:, None] + h @ c + v @ weights @ h.T)
    law /= law.sum()
    for name, truth in (("marginals", law.sum(1) @ v), ("hidden_marginals", law.sum(0) @ h)):
        probability, stderr = (np.asarray(found[name][key])[:, 1] for key in ("probability", "stderr"))
        assert np.all(np.abs(probability - truth) <= reach(1.0 - FALSE_ALARM) * stderr)
        assert np.all(stderr < 0.02)
    assert "heat_capacity" not in found  # the hidden side is no function of β
    assert "Hidden units" in Path("machine/report.html").read_text()


def test_an_interrupted_estimate_goes_on(capsys, monkeypatch):
    """Stopped in its fourth step; nothing is left of one that was stopped before its first."""
    np.savez("spins.npz", J=np.array([[0.0, 0.6, 0.2], [0.6, 0.0, 0.1], [0.2, 0.1, 0.0]]), h=np.array([0.1, 0.0, 0.2]))
    command = "free-energy spins.npz --budget 100000 --json"
    assert main([*command.split(), "--out", "whole"]) == 0
    whole = json.loads(capsys.readouterr().out)
    write = _journal._write

    def stop_at(number, why=KeyboardInterrupt):
        def writing(path, value):
            if path.name == f"{number:05d}.npz":
                raise why
            write(path, value)

        monkeypatch.setattr(_journal, "_write", writing)
        return main([*command.split(), "--out", f"stopped-{number}"])

    assert stop_at(1) == 130
    assert not Path("stopped-1").exists()
    assert stop_at(4) == 130
    assert "Continue with: energax resume stopped-4" in capsys.readouterr().err
    assert stop_at(3, OSError(28, "No space left on device")) == 2
    assert "stopped-3/steps cannot be written to: No space left on device" in capsys.readouterr().err
    assert len(list(Path("stopped-3/steps").glob("*.npz"))) == 2, "what was computed is lost"
    monkeypatch.setattr(_journal, "_write", write)
    assert main(["free-energy", "spins.npz", "--out", "stopped-4"]) == 2
    assert "or continue it with `energax resume stopped-4`" in capsys.readouterr().err
    assert main(["resume", "stopped-4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {**found, "directory": 0, "report": 0} == {**whole, "directory": 0, "report": 0}
    assert not Path("stopped-4/steps").exists()
    assert main(["resume", "stopped-4"]) == 2
    assert "has ended" in capsys.readouterr().err
    Path("stopped-4/free_energy.json").unlink()
    np.savez("spins.npz", J=np.zeros((3, 3)), h=np.zeros(3))
    assert main(["resume", "stopped-4"]) == 2
    assert "is not what the estimate in stopped-4 began with" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("isink --size 4", "no model, no directory of a run and no file. Did you mean 'ising'"),
        ("ising --beta 0", "must be a number other than 0"),
        ("ising --method mbar", "Unknown method 'mbar'"),
        ("ising --method trajectory", "name a RUN, and leave --beta out"),
        ("ising --size 1", "needs --size of 2 or more"),
        ("lj13 --size 4", "comes in one size"),
        ("phi4 --size 3 --beta -1", "not integrable"),
        ("ising --size 64 --method exact --beta nan", "number other than 0"),
    ],
)
def test_mistakes_are_one_sentence(command, message, capsys):
    assert main(f"free-energy {command}".split()) == 2
    assert message in capsys.readouterr().err


def test_files_that_hold_nothing():
    Path("odd.npz").write_bytes(b"no zip")
    np.savez("empty.npz", a=np.zeros(2))
    np.savez("wrong.npz", J_h=np.zeros((3, 3)), J_v=np.zeros((2, 3)))
    Path("run").mkdir()
    for name, error, message in (
        ("odd.npz", DataError, "cannot be read as arrays"),
        ("empty.npz", DataError, "holds none of: J and h"),
        ("wrong.npz", DataError, r"\(rows, columns − 1\)"),
        ("run", RunError, "run"),
    ):
        with pytest.raises(error, match=message):
            open_system(name)
    with pytest.raises(ArgumentError, match="belong to named models"):
        open_system("empty.npz", size=3)


@pytest.mark.needs_data
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("exact_small/sk_gauss_n20_field_s0.npz", marks=pytest.mark.slow),
        pytest.param("exact_planar/ea_pm1_free12x12_s0.npz", marks=pytest.mark.slow),
    ],
)
def test_instances_whose_log_z_is_known(name, capsys):
    with np.load(statphys(name)) as stored:
        beta, truth = float(stored["beta"][5]), float(stored["logZ"][5])
    found = ask(capsys, f"{statphys(name)} --beta {beta} --budget 500000")
    assert found["warnings"] == []
    assert abs(found["log_z"]["value"] - truth) <= reach(1.0 - FALSE_ALARM) * found["log_z"]["stderr"]


@pytest.mark.slow
def test_a_run_along_its_checkpoints(capsys):
    """Training keeps the models of steps 1, 2, 4 ...; log Z along them is that of the trained one."""
    np.save("rows.npy", np.random.default_rng(0).integers(0, 2, (64, 1)).repeat(6, axis=1))
    command = "fit rows.npy --model rbm --hidden 3 --num-steps 40 --batch-size 32 --out run --json"
    assert main(command.split()) == 0
    capsys.readouterr()
    assert {1, 2, 4, 8, 16, 32, 40} <= set(checkpoints("run"))
    found = ask(capsys, "run --method trajectory --budget 200000")
    assert found["diagnostics"]["base"] == "Trajectory (given)"
    assert found["log_z"]["lower"] <= found["log_z"]["exact"]
    assert found["log_z"]["exact"] == pytest.approx(exact_log_z(load("run")), abs=1e-4)
