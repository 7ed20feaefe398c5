"""``energax simulate``: the JSON object, the page, a user's own energy, and mistakes in one sentence."""

import json
import re
from pathlib import Path

import pytest

from energax.cli import main

OWN = """
import jax.numpy as jnp
import energax as ex

def well():
    plane = ex.spaces.Euclidean(2, initial_scale=1.0)
    return ex.energy(lambda k, x: 0.5 * k * jnp.sum(x**2), jnp.array(4.0), space=plane)

number = 3
"""


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_ising_at_three_temperatures(capsys):
    command = "simulate ising --size 8 --temperature 2:4:3 --num-sweeps 400 --num-chains 4 --seed 1 --out there --json"
    assert main(command.split()) == 0
    found = json.loads(capsys.readouterr().out)
    assert [p["temperature"] for p in found["points"]] == [2.0, 3.0, 4.0]
    for point, known in zip(found["points"], found["exact"], strict=True):
        assert point["beta"] == pytest.approx(1 / point["temperature"])
        for name in ("energy_per_site", "magnetization_abs", "heat_capacity", "susceptibility", "binder_cumulant"):
            assert set(point[name]) == {"value", "stderr", "tau", "ess"}
        if point["r_hat"] < 1.01:
            gap = point["energy_per_site"]["value"] - known["energy_per_site"]
            assert abs(gap) <= 4.9 * point["energy_per_site"]["stderr"]
    for point in found["free_energy"]:
        z = point["log_z"]
        # Student's law with three degrees of freedom at a false alarm of 1e-6.
        assert abs(z["value"] - z["exact"]) <= 130 * z["stderr"] < 130
    assert len(found["free_energy"]) == 3
    assert json.loads(Path("there/simulation.json").read_text())["points"] == found["points"]
    page = Path("there/report.html").read_text()
    for word in (
        "heat capacity",
        "exact",
        "Free energy",
        "Last configurations",
        "Ranks of the energies",
        "<span>2:4:3</span>",
    ):
        assert word in page
    assert main(command.split()) == 2
    assert "there exists already" in capsys.readouterr().err


def test_an_energy_of_ones_own(capsys):
    Path("own.py").write_text(OWN)
    assert (
        main(
            [
                "simulate",
                "--energy",
                "own.py:well",
                "--kernel",
                "random-walk",
                "--num-sweeps",
                "100",
                "--num-chains",
                "2",
            ]
        )
        == 0
    )
    out = capsys.readouterr().out
    assert "energy per site" in out
    assert "runs/simulate-own-1/report.html" in out


@pytest.mark.slow
def test_a_glass_in_two_sizes_swaps_temperatures_and_goes_on(capsys):
    command = "simulate spin-glass --size 3,4 --temperature 1:2:3 --num-sweeps 300 --num-chains 4 --out glass"
    assert main(command.split()) == 0
    out = capsys.readouterr().out
    for words in ("L = 4, T = 1.5", "overlap squared", "Exchange, L = 3", "round trips"):
        assert words in out
    page = Path("glass/report.html").read_text()
    for words in ("Exchange of temperatures", "Swaps, L = 4", "<span>1:2:3</span>", "One chain of the largest lattice"):
        assert words in page
    found = json.loads(Path("glass/simulation.json").read_text())
    for name in ("simulation.json", "report.html", "pieces/size4-ladder-001.npz"):
        (Path("glass") / name).unlink()
    assert main(["resume", "glass"]) == 0
    assert json.loads(Path("glass/simulation.json").read_text()) == found
    assert main(["resume", "glass", "--from-step", "3"]) == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("isnig", "Did you mean 'ising'"),
        ("ising --kernel blok-gibbs", "Did you mean 'block-gibbs'"),
        ("ising --kernel mala", "MALA needs a score"),
        ("ising --size 1", "--size of 2 or more"),
        ("ising --size big", "whole number"),
        ("ising --exchange", "ladder of one temperature"),
        ("ising --q 3", "belongs to potts"),
        ("gmm40 --size 3", "one size"),
        ("ising --temperature -2", "positive"),
        ("ising --temperature 1:2:1", "ladder of one temperature"),
        ("ising --num-chains 0", "--num-chains 1 or more"),
        ("ising --seed -1", "--seed must not be negative"),
        ("", "Name a model or give --energy"),
        ("--energy own.py:number", "could not be made"),
        ("--energy own.py:wel", "Did you mean 'well'"),
        ("--energy nowhere.py:well", "no file nowhere.py|no file 'nowhere.py'"),
    ],
)
def test_mistakes_in_one_sentence(arguments, told, capsys):
    Path("own.py").write_text(OWN)
    assert main(["simulate", *arguments.split()]) == 2
    out, err = capsys.readouterr()
    lines = [line for line in err.strip().splitlines() if line != "Simulating ..."]
    assert out == ""
    assert len(lines) == 1
    assert "Traceback" not in err

    assert re.search(told, lines[0])
    assert not list(Path("runs").glob("*")) if Path("runs").exists() else True
