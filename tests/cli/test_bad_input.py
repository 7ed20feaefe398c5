"""Mistakes of users: one sentence on stderr, exit status 2, no traceback, nothing touched."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from energax.cli import main

RNG = np.random.default_rng(0)


def write(path: Path, rows: np.ndarray) -> str:
    np.save(path, rows)
    return str(path)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line on stderr of a command that is refused before any run exists."""
    assert main(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("energax: ")
    assert "Traceback" not in err
    assert not list(Path("runs").glob("*")) if Path("runs").exists() else True
    return lines[0]


CASES = {
    "missing.npy": (lambda p: None, "no file missing.npy"),
    "empty.npy": (lambda p: p.write_bytes(b""), "empty"),
    "flat.npy": (lambda p: np.save(p, np.arange(5.0)), "shape"),
    "nan.npy": (lambda p: np.save(p, np.where(np.eye(20) > 0, np.nan, 1.0)), "20 .*row 0"),
    "equal.npy": (lambda p: np.save(p, np.ones((20, 3))), "rows .* are equal"),
    "constant.npy": (lambda p: np.save(p, np.c_[RNG.normal(size=(50, 2)), np.ones(50)]), "constant|same value"),
    "one.npy": (lambda p: np.save(p, RNG.normal(size=(1, 3))), "row"),
    "words.csv": (lambda p: p.write_text("a,b\n1,2\n3,cat\n4,5\n"), "Line 3, column 'b'"),
    "ragged.csv": (lambda p: p.write_text("1,2\n3,4,5\n6,7\n"), "row|line"),
    "object.npy": (lambda p: np.save(p, np.array([{}, {}], dtype=object), allow_pickle=True), "object|pickle"),
    "data.xyz": (lambda p: p.write_text("1 2 3"), "suffix"),
    "broken.npz": (lambda p: p.write_bytes(b"PK\x03\x04 not a zip"), "broken.npz"),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_bad_files(name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    make, pattern = CASES[name]
    make(tmp_path / name)
    line = refused(capsys, "fit", name)
    assert re.search(pattern, line), line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fit", "digits", "--model", "rmb"), "'rbm'"),
        (("fit", "digits", "--objective", "persistant-cd"), "'persistent-cd'"),
        (("fit", "digits", "--kernel", "blockgibs"), "'block-gibbs'"),
        (("fit", "digts"), "'digits'"),
        (("fit", "digits", "--kernel", "mala"), "MALA needs a score"),
        (("fit", "digits", "--kernel", "hmc"), "BlockGibbs()"),
        (("fit", "digits", "--objective", "denoising-score-matching"), "discrete"),
        (("fit", "digits", "--num-steps", "0"), "at least 1"),
        (("fit", "digits", "--num-steps", "many"), "--num-steps"),
        (("fit", "digits", "--num-stepz", "5"), "--num-steps"),
        (("fit", "digits", "--learning-rate", "-1"), "positive"),
        (("fit", "digits", "--hidden", "0"), "num_hidden=0"),
        (("fit", "digits", "--binarize", "half"), "threshold"),
        (("fit", "digits", "--binarize", "none", "--model", "rbm"), "--binarize threshold"),
        (("fit", "two-moons", "--model", "rbm"), "--model mlp"),
        (("fit", "two-moons", "--kernel", "block-gibbs"), "blocks"),
        (("fit", "two-moons", "--step-size", "-0.1"), "step"),
        (("fit",), "DATA"),
        (("fti", "digits"), "'fit'"),
        (("resume", "nowhere"), "no run"),
        (("evaluate", "."), "not a run"),
        (("sample", "nowhere"), "no run"),
        (("report", "nowhere"), "no run"),
        (("sample", ".", "--num", "0"), "at least 1"),
        (("data", "digtis"), "'digits'"),
    ],
)
def test_bad_requests(arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in refused(capsys, *arguments)


def test_zeros_and_ones_are_no_continuous_data(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write(tmp_path / "bits.npy", RNG.integers(0, 2, size=(100, 12)))
    assert "--model rbm" in refused(capsys, "fit", "bits.npy", "--model", "mlp")


def test_an_existing_out_is_left_alone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    assert "exists already" in refused(capsys, "fit", "digits", "--out", "mine")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep me"


def test_an_edited_config_is_noticed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from energax import runs

    config, data = runs.plan("digits")
    run = runs.Run.create(config, data, out="run")
    path = run.directory / "config.json"
    path.write_text(path.read_text().replace('"hidden": 128', '"hidden": 64'))
    for command in ("resume", "evaluate", "report"):
        assert "edited" in refused(capsys, command, "run")


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "resume" in capsys.readouterr().out
    assert main(["--version"]) == 0
    with pytest.raises(SystemExit) as end:
        main(["fit", "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for flag in ("--model", "--hidden", "--num-chains", "--step-size", "--learning-rate", "--out", "--json"):
        assert flag in text
