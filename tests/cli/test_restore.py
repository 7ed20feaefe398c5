"""``energax restore``: a whole restoration, and one sentence for each mistake."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from energax import runs
from energax.cli import _restore, main

RNG = np.random.default_rng(0)
PICTURES = np.clip(RNG.normal(128, 60, (40, 8, 8)), 0, 255).astype(np.uint8)
COLOURED = np.random.default_rng(1).integers(0, 256, (40, 3, 8, 8), dtype=np.uint8)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs that were created and, but for one in the slow test, never trained; images and masks."""
    folder = tmp_path_factory.mktemp("restore")
    np.save(folder / "grey.npy", PICTURES)
    np.save(folder / "colour.npy", COLOURED)
    np.save(folder / "table.npy", RNG.normal(size=(40, 3)))
    for name, data, binarize, model in (
        ("vae", "grey", None, "vae"),
        ("bits", "grey", "threshold", "vae"),
        ("coloured", "colour", None, "vae"),
        ("rows", "table", None, "vae"),
        ("energy", "table", None, "mlp"),
    ):
        source = runs.DataConfig(str(folder / f"{data}.npy"), binarize)
        parts = {"model": {"name": model}, "objective": {"name": "elbo"}, "kernel": {}}
        runs.Run.create(runs.RunConfig(source, training=runs.TrainingConfig(), **parts), out=folder / name)
    np.savez(folder / "one.npz", image=PICTURES[0])
    np.savez(folder / "many.npz", image=PICTURES[:3])
    np.savez(folder / "wide.npz", image=np.zeros((8, 9)))
    np.savez(folder / "bright.npz", image=np.full((8, 8), 300.0))
    np.savez(folder / "nan.npz", image=np.full((8, 8), np.nan))
    np.savez(folder / "unnamed.npz", a=np.zeros(3), b=np.zeros(3))
    (folder / "junk.npz").write_bytes(b"PK junk")
    (folder / "junk.png").write_bytes(b"junk")
    np.save(folder / "all.npy", np.ones((8, 8)))
    np.save(folder / "none.npy", np.zeros((8, 8)))
    return folder


CASES = [
    ("vae one.npz", "Say what happened to the image: --operator inpaint, super-resolution"),
    ("vae one.npz --operator blur", "There is no operator 'blur'"),
    ("vae missing.npz --operator inpaint", "There is no file"),
    ("vae junk.npz --operator inpaint", "cannot be read as arrays"),
    ("vae junk.png --operator inpaint", "cannot be read as an image"),
    ("vae unnamed.npz --operator inpaint", "holds a, b; name the image `image`"),
    ("vae wide.npz --operator inpaint", r"The image has the shape \(8, 9\), but this run and inpaint take \(8, 8\)"),
    ("vae bright.npz --operator inpaint", "The image goes from 300 to 300, but the data of this run from"),
    ("vae nan.npz --operator inpaint", "values that are not finite"),
    ("vae many.npz --operator inpaint --row 3", "holds 3 images; --row counts from 0, got 3"),
    ("vae one.npz --operator inpaint --row 1", "holds one image, so --row says nothing"),
    ("vae one.npz --operator inpaint --mask middle", "--mask is one of left, right, top, bottom, or a file"),
    ("vae one.npz --operator inpaint --mask all.npy", "The mask keeps all pixels"),
    ("vae one.npz --operator inpaint --mask none.npy", "The mask keeps no pixel"),
    ("vae one.npz --operator super-resolution --factor 3", "divides both sides of the image, which is 8 × 8"),
    ("vae one.npz --operator compressed-sensing --ratio 1.5", "needs a ratio between 0 and 1"),
    ("vae one.npz --operator colourise", "needs a model of colour images"),
    ("vae one.npz --operator denoise", "say how large the noise is: --noise"),
    ("vae one.npz --operator denoise --noise -1", "--noise must not be negative"),
    ("vae one.npz --operator inpaint --chains 0", "--chains and --steps must be at least 1"),
    ("bits one.npz --operator inpaint", "holds a model of 0/1 pixels"),
    ("rows one.npz --operator inpaint", "whose rows are no images"),
    ("energy one.npz --operator inpaint", "holds a mlp, which has no latent to search; restore needs a generator"),
    ("nowhere one.npz --operator inpaint", "There is no run at nowhere"),
]


@pytest.mark.parametrize(("line", "message"), CASES)
def test_mistakes_are_said_in_one_sentence(place, monkeypatch, capsys, line, message):
    monkeypatch.chdir(place)
    assert main(["restore", *line.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    [said] = [text for text in err.strip().splitlines() if text != "Restoring ..."]
    assert said.startswith("energax: ")
    assert re.search(message, said), said
    assert not (place / "runs").exists()


@pytest.mark.parametrize("first", [True, False])
def test_images_are_read_in_the_order_of_axes_of_the_files_that_a_run_learns_from(place, tmp_path, first):
    """The file of the run has the colour first; three grey images are no image of three colours."""
    run, wanted = runs.Run.open(place / "coloured"), np.moveaxis(COLOURED[2], 0, -1)
    np.save(tmp_path / "many.npy", COLOURED if first else np.moveaxis(COLOURED, 1, -1))
    np.save(tmp_path / "one.npy", COLOURED[2] if first else wanted)
    np.testing.assert_array_equal(_restore._read(str(tmp_path / "many.npy"), run, 2), wanted)
    np.testing.assert_array_equal(_restore._read(str(tmp_path / "one.npy"), run, None), wanted)
    grey = runs.Run.open(place / "vae")
    np.testing.assert_array_equal(_restore._read(str(place / "many.npz"), grey, 2), PICTURES[2])
    np.save(tmp_path / "axis.npy", PICTURES[:, None])
    np.testing.assert_array_equal(_restore._read(str(tmp_path / "axis.npy"), grey, 2), PICTURES[2])


@pytest.mark.slow
def test_a_restoration_meets_its_measurement(place, monkeypatch, capsys):
    """Half an image, measured here; then a small image that is the measurement itself."""
    monkeypatch.chdir(place)
    line = ["fit", "grey.npy", "--model", "vae", "--num-steps", "20", "--hidden", "8", "--out", "trained", "--json"]
    assert main(line) == 0
    capsys.readouterr()
    short = ["--chains", "2", "--steps", "4", "--json"]
    assert main(["restore", "trained", "many.npz", "--row", "1", "--operator", "inpaint", *short, "--out", "a"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["misfit"] < 1e-6
    assert found["psnr_mean"] > 0
    with np.load("a/restored.npz") as arrays:
        np.testing.assert_allclose(arrays["images"][:, :, 4:], np.stack(2 * [PICTURES[1][:, 4:]]), atol=1e-2)
    page = Path("a/report.html").read_text()
    assert "Error of the mean" in page
    np.savez("small.npz", image=PICTURES[0].reshape(4, 2, 4, 2).mean(axis=(1, 3)))
    line = ["restore", "trained", "small.npz", "--operator", "super-resolution", "--factor", "2", *short, "--out", "b"]
    assert main(line) == 0
    assert "psnr_mean" not in json.loads(capsys.readouterr().out)
    with np.load("b/restored.npz") as arrays, np.load("small.npz") as small:
        means = arrays["images"].reshape(2, 4, 2, 4, 2).mean(axis=(2, 4))
        np.testing.assert_allclose(means, np.stack(2 * [small["image"]]), atol=1e-2)
