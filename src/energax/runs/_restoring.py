"""Restoring images by a run: from files and names to operators, and from the model's units to those of its data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from energax import systems
from energax._errors import ArgumentError, DataError, nearest
from energax._files import replace_arrays
from energax._typing import PRNGKey
from energax.data import Data
from energax.runs._run import Run
from energax.spaces import Euclidean

OPERATORS = {
    "inpaint": "some pixels are missing (--mask)",
    "super-resolution": "means over squares of pixels (--factor)",
    "colourise": "the mean of the colours",
    "compressed-sensing": "a share of random projections (--ratio)",
    "denoise": "noise (--noise)",
}
HALVES = ("left", "right", "top", "bottom")


@dataclasses.dataclass(frozen=True)
class Restoration:
    """Restored images in the units of the data, with everything the page shows.

    Attributes:
        run: The directory of the run.
        model: Name of the model.
        operator: Name of the operator.
        settings: Its options.
        truth: The undamaged image, where it was given, else None.
        back: What the measurement alone tells, A⁺y.
        images: An image of each chain.
        mean: Mean over all kept images.
        spread: Their standard deviation.
        numbers: Scores and diagnostics.
        shape: (h, w) or (h, w, colours).
        value_range: Smallest and largest value of the data.
    """

    run: str
    model: str
    operator: str
    settings: Mapping[str, Any]
    truth: np.ndarray | None
    back: np.ndarray
    images: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    numbers: Mapping[str, Any]
    shape: tuple[int, ...]
    value_range: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        """Everything but the pictures."""
        named = {name: getattr(self, name) for name in ("run", "model", "operator", "settings", "shape", "value_range")}
        return {**named, **self.numbers}

    def save(self, path: Path) -> None:
        """Write the images.

        Raises:
            OSError: The disk refuses.
        """
        arrays = {name: getattr(self, name) for name in ("back", "images", "mean", "spread")}
        replace_arrays(path, arrays if self.truth is None else {**arrays, "truth": self.truth})


def restore_image(
    run: Run,
    image: np.ndarray,
    operator: str,
    *,
    mask: str | np.ndarray = "left",
    factor: int = 4,
    ratio: float = 0.1,
    noise: float = 0.0,
    measured: bool = False,
    num_chains: int = 8,
    num_steps: int = 300,
    seed: int = 0,
) -> Restoration:
    """Restore one image by the generator of a run.

    An image of full size is measured here, with noise, and compared with what comes back; with `measured`, or where it
    has the size of a measurement, it is taken as the measurement itself.

    Args:
        run: A trained generator of images.
        image: (h, w) or (h, w, colours) in the units of the run's data.
        operator: A name of `OPERATORS`.
        mask: For inpainting, which part is missing (left, right, top, bottom), or an array, not zero where known.
        factor: For super-resolution.
        ratio: For compressed sensing.
        noise: Standard deviation of the measurement's noise, as a share of the range of the data.
        measured: Whether the image is damaged already.
        num_chains: Number of chains.
        num_steps: Steps of each.
        seed: Seed of everything random.

    Raises:
        ArgumentError: The run holds no generator of images, or options do not fit.
        DataError: The image does not fit the model, or lies out of the range of its data.
    """
    data, shape = run.data, _image_shape(run)
    of_operator, of_noise, of_chains = jax.random.split(jax.random.key(seed), 3)
    if noise < 0:
        raise ArgumentError(f"--noise must not be negative, got {noise}.")
    if operator == "denoise" and noise == 0:
        raise ArgumentError("To denoise, say how large the noise is: --noise 0.1 is a tenth of the range of the data.")
    made = _operator(operator, shape, mask, factor, ratio, of_operator)
    low, high = data.value_range
    _check_values(image, low, high, slack=6 * noise if measured else 0.0)
    size = noise * (high - low) * _slope(data, shape)
    wanted = jax.eval_shape(made, jax.ShapeDtypeStruct(shape, jnp.float32)).shape
    truth: np.ndarray | None = None
    if image.shape == shape and not (measured and operator == "compressed-sensing"):
        inside = _to_model(data, image)
        measurement = made(jnp.asarray(inside))
        if not measured:
            truth = image
            measurement += size * jax.random.normal(of_noise, measurement.shape)
    elif image.shape == wanted and operator in ("super-resolution", "colourise"):
        measurement = jnp.asarray(_to_model(data, image))
    else:
        expected = " or ".join(str(s) for s in dict.fromkeys((shape, wanted)) if len(s) > 1)
        raise DataError(f"The image has the shape {image.shape}, but this run and {operator} take {expected}.")
    found = systems.restore(
        run.energy, made, measurement, key=of_chains, noise=size, num_chains=num_chains, num_steps=num_steps
    )
    images, mean, back = (_to_user(data, part) for part in (found.images, found.mean[None], found.back[None]))
    spread = found.spread / _slope(data, shape)
    settings = {"inpaint": {"mask": mask if isinstance(mask, str) else "given"}, "super-resolution": {"factor": factor},
                "compressed-sensing": {"ratio": ratio}}.get(operator, {})  # fmt: skip
    return Restoration(
        run=str(run.directory),
        model=run.config.model["name"],
        operator=operator,
        settings={**settings, "noise": noise, "chains": num_chains, "steps": num_steps, "seed": seed},
        truth=truth,
        back=back[0],
        images=images,
        mean=mean[0],
        spread=spread,
        numbers=_numbers(found, truth, images, mean[0], back[0], high - low, _slope(data, shape)),
        shape=shape,
        value_range=(low, high),
    )


def _numbers(
    found: systems.Restored,
    truth: np.ndarray | None,
    images: np.ndarray,
    mean: np.ndarray,
    back: np.ndarray,
    span: float,
    slope: float,
) -> dict[str, Any]:
    """Scores against the truth where it is known, and what the chains say of themselves."""
    chains = found.samples.summary()
    out: dict[str, Any] = {
        "misfit": found.misfit / slope / span,
        "mean_spread": float(found.spread.mean()) / slope / span,
        "r_hat": chains.get("r_hat"),
        "accept_prob": chains.get("accept_prob"),
    }
    if truth is not None:
        out |= {
            "psnr_mean": psnr(mean, truth, span),
            "psnr_single": float(np.mean([psnr(one, truth, span) for one in images])),
            "psnr_measurement": psnr(back, truth, span),
        }
    return out


def psnr(image: np.ndarray, truth: np.ndarray, span: float) -> float:
    """Peak signal-to-noise ratio in decibels, 10 log₁₀(span²/mean squared error)."""
    error = float(np.mean((image - truth) ** 2))
    return float(10 * np.log10(span**2 / max(error, 1e-20 * span**2)))


def _image_shape(run: Run) -> tuple[int, ...]:
    name = run.config.model["name"]
    if not run.is_generator:
        raise ArgumentError(
            f"{run.directory} holds a {name}, which has no latent to search; restore needs a generator: "
            "energax fit DATA --model vae, or ec-vae."
        )
    shape = run.data.image_shape
    if shape is None:
        raise ArgumentError(f"{run.directory} was trained on {run.data.name}, whose rows are no images.")
    if not isinstance(run.data.space, Euclidean):
        raise ArgumentError(f"{run.directory} holds a model of 0/1 pixels; restore needs grey ones: --binarize none.")
    return shape


def _operator(
    name: str, shape: tuple[int, ...], mask: str | np.ndarray, factor: int, ratio: float, key: PRNGKey
) -> systems.AbstractOperator:
    if name not in OPERATORS:
        raise ArgumentError(f"There is no operator {name!r}. {nearest(name, OPERATORS)}")
    if name == "inpaint":
        return systems.Inpaint(_half(mask, shape) if isinstance(mask, str) else mask, shape)
    if name == "super-resolution":
        return systems.SuperResolution(shape, factor)
    if name == "colourise":
        return systems.Colourise(shape)
    return systems.CompressedSensing(shape, ratio, key=key) if name == "compressed-sensing" else systems.Denoise(shape)


def _half(missing: str, shape: tuple[int, ...]) -> np.ndarray:
    if missing not in HALVES:
        raise ArgumentError(f"--mask is one of {', '.join(HALVES)}, or a file, got {missing!r}.")
    known = np.ones(shape[:2], bool)
    height, width = shape[0] // 2, shape[1] // 2
    places = {"left": np.s_[:, :width], "right": np.s_[:, width:], "top": np.s_[:height], "bottom": np.s_[height:]}
    known[places[missing]] = False
    return known


def _check_values(image: np.ndarray, low: float, high: float, slack: float) -> None:
    if not np.isfinite(image).all():
        raise DataError("The image has values that are not finite.")
    room = (slack + 1e-6) * (high - low)
    if image.min() < low - room or image.max() > high + room:
        raise DataError(
            f"The image goes from {image.min():.4g} to {image.max():.4g}, but the data of this run from {low:.4g} to "
            f"{high:.4g}."
        )


def _to_model(data: Data, image: np.ndarray) -> np.ndarray:
    return np.asarray(data.transform.forward(image[None])[0], np.float32)


def _to_user(data: Data, images: np.ndarray) -> np.ndarray:
    """The affine way back, without rounding to grey levels."""
    zero = float(data.transform.forward(np.zeros((1, *images.shape[1:])))[0].reshape(-1)[0])
    return (images - zero) / _slope(data, images.shape[1:])


def _slope(data: Data, shape: tuple[int, ...]) -> float:
    """How much the model's units grow with those of the data, which for images is one number."""
    ends = (data.transform.forward(np.full((1, *shape), v))[0].reshape(-1)[0] for v in (0.0, 1.0))
    start, end = (float(v) for v in ends)
    return end - start
