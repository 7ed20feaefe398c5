"""Mistakes of users: one sentence on stderr, exit status 2, no traceback, nothing touched."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from energax._errors import RunError
from energax.cli import main
from energax.cli._sample import write as write_draws

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
    "junk.csv": (lambda p: p.write_bytes(RNG.bytes(3000)), "not a text file in UTF-8"),
    "latin.csv": (lambda p: p.write_bytes("größe,b\n1,2\n3,4\n".encode("latin-1")), "not a text file in UTF-8"),
    "inf.csv": (lambda p: p.write_text("a,b\n1,2\n3,inf\n4,5\n6,nan\n"), "2 of 8 values, first at line 3, column 'b'"),
    "german.csv": (lambda p: p.write_text("a;b\n1,5;2\n3,4;4\n"), "Line 2, column 'a'"),
    "complex.npy": (lambda p: np.save(p, RNG.normal(size=(20, 2)) + 1j), "complex"),
    "huge.npy": (lambda p: np.save(p, 1e300 * RNG.normal(size=(20, 2))), "other units"),
    "tiny.npy": (lambda p: np.save(p, 1e-300 * RNG.normal(size=(20, 2))), "other units"),
    "empty": (lambda p: p.mkdir(), "holds no images"),
    "dated.npy": (lambda p: np.save(p, np.zeros((20, 2), "M8[s]")), "dates"),
    "two.npz": (lambda p: np.savez(p, a=np.eye(5), b=np.eye(5)), "holds the arrays a, b"),
    "uneven.npz": (lambda p: np.savez(p, train=RNG.normal(size=(9, 2)), test=np.eye(3)), "shape .3,."),
    "bad-test.npz": (lambda p: np.savez(p, train=RNG.normal(size=(9, 2)), test=np.full((3, 2), np.nan)), "6 of 6"),
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
        (("fit", "digits", "--num-steps", "-1"), "at least 1"),
        (("fit", "digits", "--num-steps", "99999999999999999999"), "at most"),
        (("fit", "digits", "--num-steps", "1e9"), "--num-steps needs a whole number, got '1e9'"),
        (("fit", "digits", "--num-steps", "many"), "--num-steps needs a whole number, got 'many'"),
        (("fit", "digits", "--learning-rate", "fast"), "--learning-rate needs a number, got 'fast'"),
        (("fit", "digits", "--learning-rate", "inf"), "finite"),
        (("fit", "digits", "--ema-decay", "nan"), "--ema-decay"),
        (("fit", "digits", "--weight-decay", "nan"), "--weight-decay"),
        (("fit", "digits", "--batch-size", "0"), "--batch-size must be at least 1"),
        (("fit", "digits", "--num-chains", "0"), "at least one chain"),
        (("fit", "digits", "--chain-steps", "0"), "at least one step"),
        (("fit", "digits", "--reservoir", "3"), "at least as large as num_chains"),
        (("fit", "digits", "--restart", "nan"), "probability"),
        (("fit", "digits", "--seed", "-1"), "between 0 and 4294967295"),
        (("fit", "digits", "--seed", str(2**70)), "between 0 and 4294967295"),
        (("fit", "digits", "--step-size", "1"), "block-gibbs has no option --step-size"),
        (("fit", "digits", "--layers", "3"), "rbm has no option --layers"),
        (("fit", "digits", "--hidden", "1000000000"), "GiB"),
        (("fit", "digits", "--model"), "--model needs a value"),
        (("fit", "digits", "--out", ""), "--out is empty"),
        (("fit", "digits", "--out", "a\0b"), "null character"),
        (("fit", "digits", "mnist"), "mnist"),
        (("fit", ""), "DATA is empty"),
        (("fit", "a\0b.npy"), "no file"),
        (("fit", "/dev/null"), "no suffix"),
        (("fit", "two-moons", "--layers", "-1"), "--layers"),
        (("fit", "two-moons", "--hidden", "0"), "--hidden"),
        (("fit", "two-moons", "--activation", "foo"), "silu"),
        (("fit", "two-moons", "--step-size", "nan"), "step_size"),
        (("fit", "two-moons", "--num-leapfrog", "0"), "num_leapfrog"),
        (("fit", "two-moons", "--model", "conv"), "images"),
        (("fit", "two-moons", "--binarize", "threshold"), "cannot be binarized"),
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
        (("sample", ".", "--num", "1e3"), "--num needs a whole number, got '1e3'"),
        (("sample", ".", "--out", "draws.csv"), ".npz"),
        (("sample", ".", "--out", "missing/draws.npz"), "no folder missing"),
        (("evaluate", "", "--json"), "not a run"),
        (("resume", ".", "--from-step", "x"), "--from-step needs a whole number"),
        (("report", ".", "--jsn"), "--json"),
        (("data", "digits", "--binarize", "half"), "threshold"),
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


@pytest.mark.parametrize("width", ["utf-8", "ascii"])
def test_a_mistyped_number_is_one_short_sentence(width: str, tmp_path: Path) -> None:
    """Whatever the terminal can show: the parser draws another box where it knows no box characters."""
    command = [sys.executable, "-m", "energax.cli", "fit", "digits", "--num-steps", "1e9"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": width},
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "energax: --num-steps needs a whole number, got '1e9'. See `energax fit --help`.\n"


def test_a_terminal_that_lacks_a_character_gets_a_question_mark(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "energax.cli", "data"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "?" in done.stdout


def test_a_disk_that_refuses_the_draws_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only disk refuses even to remove the part that was never written."""

    def refuse(*args: object, **options: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(np, "savez_compressed", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(RunError, match=r"draws.npz cannot be written: Read-only file system"):
        write_draws(tmp_path / "draws.npz", x=np.eye(2))


def test_what_cannot_be_written_is_said_before_it_is_computed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from energax import runs

    config, data = runs.plan("digits")
    run = runs.Run.create(config, data, out="run")
    monkeypatch.setattr(os, "access", lambda *args: False)
    assert "read-only" in refused(capsys, "sample", "run", "--out", "draws.npz")
    with pytest.raises(RunError, match="read-only"):
        runs.summarise(run)


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
    words = " ".join(re.sub("[│╭╰╮╯─]", " ", text).split())
    assert "rbm: Number of hidden units. mlp, noise-mlp: Width of each hidden layer. conv: Channels" in words
    assert 'heat-bath: "sweep": all sites in order' in words
    assert "default: None" not in words


def test_the_help_of_a_named_model_speaks_of_that_model_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fit", "digits", "--model", "rbm", "--help"])
    text = capsys.readouterr().out
    assert "rbm: Number" not in text
    assert "Number of hidden units." in text
    assert "--layers" not in text
