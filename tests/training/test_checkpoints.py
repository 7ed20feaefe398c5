"""Checkpoints as files: whole or not there, and every altered byte noticed."""

import errno
import json
import os
import shutil
import subprocess
import sys
import textwrap

import jax.numpy as jnp
import numpy as np
import pytest

from energax._errors import CheckpointError, RunError
from energax.training import _checkpoints
from energax.training._checkpoints import Snapshot, Store


def snapshot(step: int) -> Snapshot:
    rng = np.random.default_rng(step)
    arrays = {
        "state/energy/weights": rng.normal(size=(30, 20)).astype(np.float32),
        "state/opt_state/0/count": np.asarray(step, np.int32),
        "state/objective_state/x": rng.integers(0, 2, (8, 5), dtype=np.int8),
        "state/half": rng.normal(size=4).astype(jnp.bfloat16),
        "state/flags": np.array([True, False]),
        "state/nothing": np.zeros((0, 3), np.float32),
        "state/odd/['a b']": rng.normal(size=2),
    }
    return Snapshot(step, arrays, {"settings": {"key": [1, 2]}, "floats": [0.1, 1e300]})


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("run"))
    store.save(snapshot(10))
    store.save(snapshot(20))
    return store


@pytest.fixture
def store(written, tmp_path):
    shutil.copytree(written.directory, tmp_path / "run")
    return Store(tmp_path / "run")


def same(one: Snapshot, other: Snapshot) -> bool:
    arrays = {name: (a.dtype, a.shape, a.tobytes()) for name, a in one.arrays.items()}
    return (one.step, arrays, one.info) == (
        other.step,
        {name: (a.dtype, a.shape, a.tobytes()) for name, a in other.arrays.items()},
        other.info,
    )


def test_what_is_read_is_what_was_written(store):
    assert store.steps() == [10, 20]
    assert same(store.load(20), snapshot(20))
    assert same(store.load(10), snapshot(10))
    assert store.info(10) == snapshot(10).info


def test_every_single_altered_file_is_noticed(store):
    """One bit of every file, then its removal, its truncation, and a file too many; the manifest included."""
    folder = store.path(20)
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    assert len(files) >= 6
    for file in files:
        whole = file.read_bytes()
        for broken in (bytes([whole[len(whole) // 2] ^ 1]), b""):
            at = len(whole) // 2
            file.write_bytes(whole[:at] + broken + (whole[at + 1 :] if broken else b""))
            with pytest.raises(CheckpointError) as caught:
                store.load(20)
            assert file.name in str(caught.value)
            assert "from_step=10" in str(caught.value)
            assert "\n" not in str(caught.value)
        file.unlink()
        with pytest.raises(CheckpointError, match=f"{file.name}.* missing"):
            store.load(20)
        file.write_bytes(whole)
    extra = folder / "arrays" / "extra"
    extra.write_bytes(b"")
    with pytest.raises(CheckpointError, match="extra does not belong"):
        store.load(20)
    extra.unlink()
    assert same(store.load(20), snapshot(20))


def test_a_forged_manifest_is_noticed(store):
    path = store.path(20) / "manifest.json"
    header = json.loads(path.read_text())
    header["info"]["floats"][0] = 0.2
    path.write_text(json.dumps(header))
    with pytest.raises(CheckpointError, match="was altered"):
        store.load(20)


def test_what_to_do_when_nothing_is_whole(store):
    for step in (10, 20):
        (store.path(step) / "manifest.json").write_text("{}")
    with pytest.raises(CheckpointError, match="No other checkpoint"):
        store.load(20)
    with pytest.raises(CheckpointError, match=r"no checkpoint of step 15 \(it has: 10, 20\)"):
        store.load(15)


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it on the way."""


CALLS = [("os.replace", os, "replace"), ("os.fsync", os, "fsync"), ("arrays", _checkpoints, "write_arrays")]
CALLS += [("manifest", _checkpoints, "write_json"), ("remove", shutil, "rmtree"), ("reserve", _checkpoints, "reserve")]


@pytest.fixture
def quick(monkeypatch):
    """NumPy in the place of Orbax: the tests below repeat many saves, and what they stop is the order of the calls."""

    def write(path, arrays):
        path.mkdir()
        np.savez(path / "all.npz", **{name.replace("/", "|"): a for name, a in arrays.items() if name != "state/half"})
        (path / "half").write_bytes(arrays["state/half"].tobytes())

    def read(path):
        with np.load(path / "all.npz") as file:
            arrays = {name.replace("|", "/"): file[name] for name in file.files}
        half = np.frombuffer((path / "half").read_bytes(), jnp.bfloat16)
        return {**arrays, "state/half": half}

    monkeypatch.setattr(_checkpoints, "write_arrays", write)
    monkeypatch.setattr(_checkpoints, "read_arrays", read)


@pytest.fixture
def quick_store(quick, tmp_path):
    store = Store(tmp_path / "quick")
    store.save(snapshot(10))
    store.save(snapshot(20))
    return store


def interrupt(monkeypatch, at: int, error: BaseException) -> list[str]:
    """Raise `error` at call number `at` of any function that changes the disk; the calls made so far."""
    made: list[str] = []

    def guard(name, function):
        def call(*args, **kwargs):
            made.append(name)
            if len(made) == at:
                raise error
            return function(*args, **kwargs)

        return call

    for name, owner, attribute in CALLS:
        monkeypatch.setattr(owner, attribute, guard(name, getattr(owner, attribute)))
    return made


def test_killed_at_any_moment_of_a_save(quick_store, monkeypatch):
    """Before and after every change of the disk: all checkpoints there are whole, and the older one is among them."""
    store, at, seen = quick_store, 0, set()
    while True:
        at += 1
        with monkeypatch.context() as patch:
            made = interrupt(patch, at, Killed())
            try:
                store.save(snapshot(30))
                store.save(snapshot(20))  # replaces one
                store.prune({20, 30})
            except Killed:
                seen.add(made[-1])
            else:
                break
        store.clean()
        assert {20} <= set(store.steps()) <= {10, 20, 30}
        for step in store.steps():
            assert same(store.load(step), snapshot(step))
        assert not [p.name for p in store.folder.iterdir() if not p.name.startswith("step-")]
        shutil.rmtree(store.path(30), ignore_errors=True)
        store.save(snapshot(10))
    assert seen == {name for name, _, _ in CALLS}
    assert store.steps() == [20, 30]


def test_a_disk_that_refuses_at_any_moment(quick_store, monkeypatch):
    """One sentence, the reason in it, the older checkpoint whole, nothing left behind."""
    store, at, refused = quick_store, 0, 0
    while True:
        at += 1
        with monkeypatch.context() as patch:
            made = interrupt(patch, at, OSError(errno.ENOSPC, "No space left on device"))
            try:
                store.save(snapshot(30))
            except RunError as error:
                refused += 1
                text = str(error)
            else:
                if len(made) < at:
                    break
                continue  # a failure to tidy up harms nothing
        assert "No space left on device" in text
        assert "The checkpoint of step 20 is kept." in text
        assert "\n" not in text
        assert 20 in store.steps()
        assert same(store.load(20), snapshot(20))
        shutil.rmtree(store.path(30), ignore_errors=True)
        store.clean()
    assert refused >= 5
    assert same(store.load(30), snapshot(30))


def test_a_real_limit_of_the_disk(tmp_path):
    """The kernel refuses files larger than 20 kB: the process says so in one line, with no page of errors before."""
    program = """
        import resource, sys
        import numpy as np
        from pathlib import Path
        from energax._errors import RunError
        from energax.training._checkpoints import Snapshot, Store
        store = Store(Path(sys.argv[1]))
        store.save(Snapshot(1, {"x": np.ones(3)}, {}))
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            store.save(Snapshot(2, {"x": np.random.default_rng(0).normal(size=100_000)}, {}))
        except RunError as error:
            print(error)
        assert store.steps() == [1] and store.problem(1) is None
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr
    assert run.stdout.count("\n") == 1
    assert "File too large" in run.stdout
    assert "The checkpoint of step 1 is kept." in run.stdout


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "checkpoints").write_text("")
    with pytest.raises(RunError, match="could not be written"):
        Store(tmp_path).save(snapshot(1))


def test_removal(store):
    store.save(snapshot(30))
    store.remove_after(10)
    assert store.steps() == [10]
    store.prune(set())
    assert store.steps() == []
