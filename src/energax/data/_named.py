"""The sets that have a name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int64, UInt8

from energax._errors import MissingExtra
from energax.data._counter import counter_bits, fold
from energax.data._fetch import FASHION_MNIST, MNIST, Origin, images
from energax.data._gray import GrayCode
from energax.data._sources import AbstractSource, ArraySource
from energax.densities import PLANAR_NAMES, AbstractDensity, planar, planar_half_width

_PLANAR_COUNTS = {"train": 100_000, "valid": 2_000, "test": 5_000}
_NUM_VALID = 10_000


@dataclasses.dataclass(frozen=True)
class Stored:
    """Rows as a reader found them, before anybody looked at the values.

    Attributes:
        parts: ``{"all": ...}``, or at least ``"train"`` and ``"test"``.
        origin: Where the rows come from.
        notes: Sentences for the user.
        density: The law that the rows were drawn from, if it is known.
        num_levels: Number of grey levels, if it is known.
        num_valid: How many of the last training rows are the validation rows, where that is the set's own split.
    """

    parts: Mapping[str, AbstractSource]
    origin: str
    notes: tuple[str, ...] = ()
    density: AbstractDensity | None = None
    num_levels: int | None = None
    num_valid: int | None = None


@dataclasses.dataclass(frozen=True)
class Request:
    """What the maker of a named set is asked for."""

    seed: int
    num_train: int | None
    num_valid: int | None
    num_test: int | None


def digits_in_order() -> tuple[UInt8[np.ndarray, "n 8 8"], Int64[np.ndarray, " n"], int, int]:
    """Images and classes of the digits: training rows first, then validation, then test; how many the first two are."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtra('The set digits comes with scikit-learn: pip install "energax[cli]".') from error
    bunch: Any = load_digits()
    order, num_train, num_valid = _stratified(bunch.target)
    return bunch.images.astype(np.uint8)[order], bunch.target.astype(np.int64)[order], num_train, num_valid


def _digits(request: Request) -> Stored:
    del request
    rows, _, num_train, num_valid = digits_in_order()
    parts: dict[str, AbstractSource] = {
        "train": ArraySource(rows[: num_train + num_valid], "digits"),
        "test": ArraySource(rows[num_train + num_valid :], "digits"),
    }
    return Stored(parts, "scikit-learn's load_digits", num_levels=17, num_valid=num_valid)


def _stratified(labels: Int64[np.ndarray, " n"]) -> tuple[Int64[np.ndarray, " n"], int, int]:
    """Row numbers, training rows first, then validation, then test: 70, 10 and 20 % of each class, for every seed."""
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        rows = rows[np.argsort(counter_bits(fold(8, int(label)), rows))]
        num_test, num_valid = round(0.2 * len(rows)), round(0.1 * len(rows))
        parts[2].extend(rows[:num_test])
        parts[1].extend(rows[num_test : num_test + num_valid])
        parts[0].extend(rows[num_test + num_valid :])
    # classes are mixed again, so that the first rows of a split are not all of one class
    mixed = [np.asarray(part)[np.argsort(counter_bits(fold(9), np.asarray(part)))] for part in parts]
    return np.concatenate(mixed), len(mixed[0]), len(mixed[1])


def _fetched(origin: Origin) -> Callable[[Request], Stored]:
    def make(request: Request) -> Stored:
        parts, where = images(origin)
        sources: dict[str, AbstractSource] = {part: ArraySource(v, origin.name) for part, v in parts.items()}
        return Stored(sources, where, num_levels=256, num_valid=_NUM_VALID)

    return make


def _drawn(name: str) -> Callable[[Request], Stored]:
    def make(request: Request) -> Stored:
        counts = {part: getattr(request, f"num_{part}") or count for part, count in _PLANAR_COUNTS.items()}
        # in single precision whatever the session has: the same seed is the same set
        with jax.enable_x64(False):
            law = planar(name)
            parts: dict[str, AbstractSource] = {
                part: ArraySource(_draw(law, fold(request.seed, 2, number), count), name)
                for number, (part, count) in enumerate(counts.items())
            }
        return Stored(parts, f"draws from the density, seed {request.seed}", density=planar(name))

    return make


_SUFFIX = "-bits"


def gray_code(name: str) -> GrayCode:
    """The 32-bit code of a named law of the plane, whose cells fill the square that holds it.

    Args:
        name: One of `densities.PLANAR_NAMES`.
    """
    return GrayCode(scale=2**15 / planar_half_width(name))


def _coded(name: str) -> Callable[[Request], Stored]:
    def make(request: Request) -> Stored:
        stored, code = _drawn(name)(request), gray_code(name)
        parts: dict[str, AbstractSource] = {
            part: ArraySource(code.encode(_inside(source, code)), name + _SUFFIX)
            for part, source in stored.parts.items()
        }
        return Stored(parts, f"Gray code of {stored.origin}, {code.scale:.6g} cells in a unit")

    return make


def _inside(source: AbstractSource, code: GrayCode) -> Float[np.ndarray, "n 2"]:
    """The points, those beyond the last cell put into it: one in a trillion."""
    edge = np.nextafter(2.0 ** (code.num_bits - 1) / code.scale, 0)
    return np.clip(np.asarray(source.read(np.arange(source.num_rows)), np.float64), -edge, edge)


_BLOCK = 1024


def _draw(density: AbstractDensity, word: int, count: int) -> Float[np.ndarray, "n 2"]:
    """Draws in blocks of one size, so that other counts neither recompile nor change the first rows."""
    # the generator is named: a set must not depend on the session's default
    key = jax.random.key(word & 0x7FFFFFFF, impl="threefry2x32")
    blocks = [_draw_block(density, jax.random.fold_in(key, block)) for block in range(-(-count // _BLOCK))]
    return np.concatenate([np.asarray(block) for block in blocks])[:count]


@jax.jit
def _draw_block(density: AbstractDensity, key: jax.Array) -> jax.Array:
    return jax.vmap(lambda k: density.draw(key=k))(jax.random.split(key, _BLOCK))


_DESCRIPTIONS = {
    "two-moons": "two interleaved half circles",
    "8gaussians": "eight Gaussians on a circle",
    "25gaussians": "a 5 × 5 grid of narrow Gaussians",
    "two-gaussians": "Gaussians 2.5 standard deviations apart, masses 0.3 and 0.7",
    "two-islands": "Gaussians 12 standard deviations apart, masses 0.3 and 0.7, which training cannot weigh",
    "checkerboard": "uniform on eight squares of a board",
    "pinwheel": "five twisted arms",
    "swiss-roll": "one spiral arm",
    "spirals": "two spiral arms",
    "rings": "four concentric circles",
}

MAKERS: Mapping[str, Callable[[Request], Stored]] = MappingProxyType(
    {
        "digits": _digits,
        **{name: _drawn(name) for name in PLANAR_NAMES},
        **{name + _SUFFIX: _coded(name) for name in PLANAR_NAMES},
        "mnist": _fetched(MNIST),
        "fashion-mnist": _fetched(FASHION_MNIST),
    }
)

NAMED_SETS: Mapping[str, str] = MappingProxyType(
    {
        "digits": "1797 handwritten digits, 8 × 8 pixels, 17 grey levels; embedded",
        **{name: f"points of the plane: {_DESCRIPTIONS[name]}; density known" for name in PLANAR_NAMES},
        **{name + _SUFFIX: f"{name} as 32 bits in Gray code" for name in PLANAR_NAMES},
        "mnist": "70000 handwritten digits, 28 × 28 pixels, 256 grey levels; fetched once",
        "fashion-mnist": "70000 pieces of clothing, 28 × 28 pixels, 256 grey levels; fetched once",
    }
)
