"""The whole path through the command line on real data, in processes of their own, as a user runs it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

COMMAND = [sys.executable, "-m", "energax.cli"]
KEYS = {
    "data",
    "model",
    "num_parameters",
    "num_test",
    "test_log_likelihood",
    "log_z",
    "baselines",
    "warnings",
}


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], cwd=cwd, capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on digits that was stopped with Ctrl-C in the middle."""
    folder = tmp_path_factory.mktemp("cli")
    with subprocess.Popen(
        [*COMMAND, "fit", "digits", "--num-steps", "3000", "--hidden", "16", "--out", "run"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        metrics = folder / "run" / "metrics.jsonl"
        deadline = time.monotonic() + 300
        while not (metrics.exists() and len(metrics.read_text().splitlines()) > 2):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert out == ""
    assert "energax resume run" in err
    assert "Traceback" not in err
    return folder


@pytest.fixture(scope="module")
def finished(stopped: Path) -> tuple[Path, dict]:
    """The same run, continued to its end."""
    done = run("resume", "run", "--json", cwd=stopped)
    assert done.returncode == 0, done.stderr
    return stopped, json.loads(done.stdout)


def test_json_has_the_promised_keys(finished: tuple[Path, dict]) -> None:
    _, result = finished
    assert set(result) >= KEYS
    likelihood, log_z = result["test_log_likelihood"], result["log_z"]
    assert set(likelihood) >= {"lower", "upper", "lower_kind", "upper_kind", "level", "stderr_test", "unit"}
    assert set(log_z) >= {"value", "stderr", "lower", "upper", "lower_kind", "upper_kind", "level", "exact"}
    assert likelihood["unit"] == "nats"
    assert result["num_test"] == 359


def test_the_interval_holds_the_exact_value(finished: tuple[Path, dict]) -> None:
    """16 hidden units can be enumerated: the ends come from sampling, the exact value stands beside them."""
    log_z = finished[1]["log_z"]
    assert log_z["exact"] is not None
    assert log_z["lower_kind"] == "certified"
    assert log_z["lower"] <= log_z["exact"]
    assert log_z["upper"] is None or log_z["exact"] <= log_z["upper"]
    assert log_z["lower"] <= log_z["value"]
    curve = log_z["curve"]
    assert curve["kind"] == "annealing"
    assert (curve["t"][0], curve["value"][0], curve["t"][-1]) == (0.0, 0.0, 1.0)
    assert log_z["lower"] <= curve["value"][-1]
    assert "log Z along the annealing path" in (finished[0] / "run" / "report.html").read_text()


def test_the_model_beats_its_baseline(finished: tuple[Path, dict]) -> None:
    _, result = finished
    best = max(b["test_log_likelihood"] for b in result["baselines"])
    assert result["test_log_likelihood"]["upper"] > best
    assert (result["test_log_likelihood"]["lower"] or -np.inf) > best or result["warnings"]


def test_run_directory(finished: tuple[Path, dict]) -> None:
    folder, _ = finished
    names = {p.name for p in (folder / "run").iterdir()}
    assert names >= {"config.json", "checkpoints", "metrics.jsonl", "report.html", "evaluation.json", "summary.npz"}
    assert not [n for n in names if "part" in n]
    html = (folder / "run" / "report.html").read_text()
    assert "<h1" in html
    assert "<span>fit</span> <span>digits</span>" in html


def test_sample_and_report(finished: tuple[Path, dict]) -> None:
    folder, _ = finished
    done = run("sample", "run", "--num", "130", "--out", "draws.npz", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["num"] == 130
    with np.load(folder / "draws.npz") as stored:
        assert stored["x"].shape == (130, 64)
        assert set(np.unique(stored["x"])) <= {0, 1}
        assert np.isfinite(stored["energy"]).all()
    again = run("sample", "run", "--num", "5", "--out", "draws.npz", cwd=folder)
    assert again.returncode == 2
    assert "exists already" in again.stderr
    (folder / "run" / "report.html").unlink()
    assert run("report", "run", cwd=folder).returncode == 0
    assert (folder / "run" / "report.html").stat().st_size > 10_000


@pytest.mark.slow
def test_a_finished_run_resumes_to_the_same_result(finished: tuple[Path, dict]) -> None:
    folder, result = finished
    before = {p.name for p in (folder / "run" / "checkpoints").iterdir()}
    done = run("resume", "run", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    again = json.loads(done.stdout)
    assert again["log_z"] == result["log_z"]
    assert {p.name for p in (folder / "run" / "checkpoints").iterdir()} == before


def test_a_budget_that_is_too_small_is_one_sentence(finished: tuple[Path, dict]) -> None:
    done = run("evaluate", "run", "--budget", "5", cwd=finished[0])
    assert done.returncode == 2
    *progress, said = done.stderr.strip().splitlines()
    assert "at least 20000" in said
    assert progress == ["Judging the model ..."]


def test_flipped_bytes_are_one_sentence(finished: tuple[Path, dict]) -> None:
    folder, _ = finished
    newest = max((folder / "run" / "checkpoints").glob("step-*"))
    victim = max(
        (p for p in newest.rglob("*") if p.is_file() and p.name != "manifest.json"), key=lambda p: p.stat().st_size
    )
    original = victim.read_bytes()
    victim.write_bytes(bytes([original[0] ^ 1]) + original[1:])
    try:
        done = run("evaluate", "run", cwd=folder)
    finally:
        victim.write_bytes(original)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) <= 2
    assert "Traceback" not in done.stderr
    assert newest.name in done.stderr
