"""A file is replaced whole or not at all, whatever stops the writing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from energax._files import replace_arrays, replace_file


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_what_is_written_replaces_what_was_there(tmp_path: Path) -> None:
    for content in (b"old", b"new"):
        replace_file(tmp_path / "a.json", content)
        replace_arrays(tmp_path / "b.npz", {"text": np.array(content.decode()), "x": np.arange(3, dtype=np.int8)})
    assert (tmp_path / "a.json").read_bytes() == b"new"
    with np.load(tmp_path / "b.npz", allow_pickle=False) as stored:
        assert str(stored["text"]) == "new"
        assert stored["x"].dtype == np.int8
    assert sorted(names(tmp_path)) == ["a.json", "b.npz"]


@pytest.mark.parametrize("stop", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_stops_the_writing_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: BaseException
) -> None:
    replace_arrays(tmp_path / "a.npz", {"x": np.zeros(2)})

    def stopped(file, **arrays):
        file.write(b"half")
        raise stop

    monkeypatch.setattr(np, "savez_compressed", stopped)
    with pytest.raises(type(stop)):
        replace_arrays(tmp_path / "a.npz", {"x": np.ones(2)})
    assert names(tmp_path) == ["a.npz"]
    np.testing.assert_array_equal(np.load(tmp_path / "a.npz")["x"], np.zeros(2))


def test_two_processes_do_not_write_into_one_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that begins while another writes: both end whole, the last one stands."""
    save = np.savez_compressed

    def slow(file, **arrays):
        monkeypatch.setattr(np, "savez_compressed", save)
        replace_arrays(tmp_path / "a.npz", {"x": np.ones(2)})
        save(file, **arrays)

    monkeypatch.setattr(np, "savez_compressed", slow)
    replace_arrays(tmp_path / "a.npz", {"x": np.zeros(2)})
    assert names(tmp_path) == ["a.npz"]
    np.testing.assert_array_equal(np.load(tmp_path / "a.npz")["x"], np.zeros(2))
