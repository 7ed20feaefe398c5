"""A new run gets a folder of its own, and nothing that is there already is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from energax._errors import RunError
from energax.runs._directory import fresh_directory


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_runs_are_numbered_after_the_largest() -> None:
    assert fresh_directory(None, "digits", "rbm") == Path("runs/digits-rbm-1")
    Path("runs/digits-rbm-7").mkdir()
    Path("runs/digits-rbm-old").mkdir()
    Path("runs/digits-rbm-9-copy").mkdir()
    assert fresh_directory(None, "digits", "rbm") == Path("runs/digits-rbm-8")
    assert fresh_directory(None, "digits", "mlp") == Path("runs/digits-mlp-1")


def test_a_folder_that_another_process_took_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process makes its folder between our look and our attempt."""
    made = Path.mkdir

    def slower(self: Path, *args: bool, **options: bool) -> None:
        if self.name == "digits-rbm-1" and not self.exists():
            made(self)
        made(self, *args, **options)

    monkeypatch.setattr(Path, "mkdir", slower)
    assert fresh_directory(None, "digits", "rbm") == Path("runs/digits-rbm-2")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/data/My Table (new).csv", "my-table-new"),
        ("./größe.npy", "gr-e"),
        ("images/", "images"),
        ("...", "data"),
        ("two-moons", "two-moons"),
    ],
)
def test_names_of_folders_are_plain(source: str, name: str) -> None:
    assert fresh_directory(None, source, "mlp") == Path(f"runs/{name}-mlp-1")


def test_an_existing_out_is_refused_and_kept() -> None:
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("keep me")
    with pytest.raises(
        RunError, match=r"mine exists already; a run never overwrites anything. Choose another --out\.$"
    ):
        fresh_directory("mine", "digits", "rbm")
    Path("mine/config.json").write_text("{}")
    with pytest.raises(RunError, match="or continue it with `energax resume mine`"):
        fresh_directory("mine", "digits", "rbm")
    assert Path("mine/notes.txt").read_text() == "keep me"


def test_a_nested_out_is_made() -> None:
    assert fresh_directory("a/b/c", "digits", "rbm").is_dir()


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("", "--out is empty"),
        ("file/run", "No run can be created in file/run: Not a directory"),
        ("a\0b", "a path holds no null character"),
        ("x" * 300, "File name too long"),
    ],
)
def test_places_that_cannot_hold_a_run(out: str, message: str) -> None:
    Path("file").write_text("")
    with pytest.raises(RunError, match=message):
        fresh_directory(out, "digits", "rbm")


def test_a_file_called_runs_is_in_the_way() -> None:
    Path("runs").write_text("")
    with pytest.raises(RunError, match="runs is not a folder, so no run can be created in it"):
        fresh_directory(None, "digits", "rbm")
