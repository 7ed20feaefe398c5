"""Held-out digits from half of their pixels, from means over 4 x 4 squares and from a tenth of random projections.

    energax fit mnist --model vae --out runs/mnist-vae
    python benchmarks/restoration.py runs/mnist-vae --num 20

The first rows of the test set, beside what needs no model: bicubic interpolation for the means over squares, biharmonic
inpainting for the half, and the least total variation that agrees with the measurement for all three (scikit-image; its
weight chosen on ten other digits, against their truth, which flatters it). It prints the tables of docs/ec_vae.md. The
class is that of the set's feature network, which never saw a restoration.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import jax
import numpy as np
from peers import ask

from energax import evaluation, runs, systems

MEASURED = {"inpaint": "right half missing", "super-resolution": "means of 4 x 4", "compressed-sensing": "10 %"}
NUM_TUNED = 10


def restored(run: runs.Run, images: np.ndarray, operator: str) -> tuple[dict[str, np.ndarray], float, float]:
    """Means over the chains and single draws in grey levels of 0 to 1, the worst misfit, and seconds an image."""
    begun, found = time.perf_counter(), []
    for number, image in enumerate(images):
        found.append(runs.restore_image(run, image, operator, mask="right", seed=number))
        if number == 0:  # the others do not compile
            begun = time.perf_counter()
    seconds = (time.perf_counter() - begun) / max(len(images) - 1, 1)
    low, high = run.data.value_range
    pictures = {
        "mean of 8 chains": np.stack([one.mean for one in found]),
        "one draw": np.stack([one.images[0] for one in found]),
    }
    misfit = max(one.numbers["misfit"] for one in found)
    return {name: (x - low) / (high - low) for name, x in pictures.items()}, misfit, seconds


def classical(truth: np.ndarray, tuning: np.ndarray, operator: str) -> dict[str, np.ndarray]:
    """Restorations by scikit-image, which sees every operator as a matrix A with A Aᵀ = c I."""
    shape = truth.shape[1:]
    # Where an operator is random each image has one of its own, that of `restore_image` with its seed.
    count = len(truth) + len(tuning) if operator == "compressed-sensing" else 1
    matrices = np.stack([matrix(operator_of(operator, seed, shape)) for seed in range(count)])
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder) / "given.npz", Path(folder) / "out.npz"
        np.savez(given, truth=truth, tuning=tuning, matrices=matrices)
        ask("skimage", "skimage_restore.py", given=str(given), out=str(out), operator=operator)
        with np.load(out) as stored:
            return {name.replace("_", " "): stored[name] for name in stored.files}


def operator_of(name: str, seed: int, shape: tuple[int, ...]) -> systems.AbstractOperator:
    if name == "inpaint":
        return systems.Inpaint(np.broadcast_to(np.arange(shape[1]) < shape[1] // 2, shape))
    if name == "super-resolution":
        return systems.SuperResolution(shape, 4)
    return systems.CompressedSensing(shape, 0.1, key=jax.random.split(jax.random.key(seed), 3)[0])


def matrix(operator: systems.AbstractOperator) -> np.ndarray:
    size = int(np.prod(operator.shape))
    columns = jax.vmap(lambda x: operator(x.reshape(operator.shape)).reshape(-1))(np.eye(size, dtype=np.float32))
    return np.asarray(columns).T


def scores(x: np.ndarray, truth: np.ndarray, classes: np.ndarray, network: evaluation.FeatureNetwork) -> Iterable[str]:
    """PSNR and its standard error, the distance in features over their length, and the share of right classes."""
    decibels = np.asarray([runs.psnr(a, b, 1.0) for a, b in zip(x, truth, strict=True)])
    grey = np.clip(x, 0.0, 1.0)
    there, here = (evaluation.features(network, images, value_range=(0.0, 1.0)) for images in (truth, grey))
    apart = np.linalg.norm(here - there, axis=1) / np.linalg.norm(there, axis=1)
    right = evaluation.class_logits(network, grey, value_range=(0.0, 1.0)).argmax(axis=1) == classes
    yield f"{decibels.mean():.1f} ± {decibels.std(ddof=1) / len(decibels) ** 0.5:.1f}"
    yield f"{apart.mean():.2f}"
    yield f"{100 * right.mean():.0f}"


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("run", type=Path)
    asked.add_argument("--num", type=int, default=20)
    options = asked.parse_args()
    run = runs.Run.open(options.run)
    trained = evaluation.feature_network(run.data.name)
    low, high = run.data.value_range
    split = run.data.test
    rows = np.asarray(run.data.transform.inverse(split.take(np.arange(options.num + NUM_TUNED))))
    images = rows.reshape(-1, *run.data.image_shape)
    grey = (images - low) / (high - low)
    truth, tuning = grey[: options.num], grey[options.num :]
    # The class of the undamaged picture, which the network may have wrong as well.
    classes = evaluation.class_logits(trained.network, truth, value_range=(0.0, 1.0)).argmax(axis=1)
    print(f"{options.num} digits; {trained}\n")
    print(
        "| measurement | restoration | PSNR, dB | distance in features | class kept, % | largest misfit | s an image |"
    )
    print("|---|---|---|---|---|---|---|")
    for operator, told in MEASURED.items():
        ours, misfit, seconds = restored(run, images[: options.num], operator)
        for name, x in ours.items():
            row = [*scores(x, truth, classes, trained.network), f"{misfit:.0e}", f"{seconds:.1f}"]
            print(f"| {told} | {name} | {' | '.join(row)} |", flush=True)
        for name, x in classical(truth, tuning, operator).items():
            row = scores(x, truth, classes, trained.network)
            print(f"| {told} | {name} | {' | '.join(row)} | | |", flush=True)


if __name__ == "__main__":
    main()
