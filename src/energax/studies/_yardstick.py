"""What the draws of every model of one seed are held against: rows, and what training rows get in their place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from energax import evaluation
from energax.data import LABELLED_SETS, AbstractTransform, Composed, Data, Dequantize, Split
from energax.estimators import Estimate, energy_distance, mmd, precision_recall, sliced_wasserstein
from energax.spaces import AbstractDiscreteSpace

NUM_DRAWS = 2_000
"""The most draws of a model that are looked at."""
_NUM_COMPARED = 1_000


def _mmd(draws: np.ndarray, test: np.ndarray, floor: Mapping[str, Estimate], *, discrete: bool) -> dict[str, Estimate]:
    # One bandwidth for all models: that of data against data.
    bandwidth = floor["mmd_squared"].diagnostics["bandwidth"] if floor else None
    return {"mmd_squared": mmd(draws, test, "exponential-hamming" if discrete else "gaussian", bandwidth)}


def _distances(
    draws: np.ndarray, test: np.ndarray, floor: Mapping[str, Estimate], *, discrete: bool
) -> dict[str, Estimate]:
    del floor, discrete
    return {
        "sliced_wasserstein": sliced_wasserstein(draws, test, num_permutations=0),
        "energy_distance": energy_distance(draws, test),
    }


def _fidelity(
    draws: np.ndarray, test: np.ndarray, floor: Mapping[str, Estimate], *, discrete: bool
) -> dict[str, Estimate]:
    del floor, discrete
    found = precision_recall(draws, test, num_splits=1)
    return {name: getattr(found, name) for name in ("precision", "recall", "density", "coverage")}


SAMPLE_METRICS: tuple[Callable[..., dict[str, Estimate]], ...] = (_mmd, _distances, _fidelity)
"""THE list of what draws are judged by: from draws and test rows, in the common units, to estimates.

Each is asked of training rows in the place of draws first, which tells the floor; it sees its floor when it judges
draws, and an empty one until then."""


class Yardstick:
    """Held-out rows and the floors of all distances, the same for every model of a seed: made once, by the first.

    Args:
        data: The data in the units that all draws are judged in.
    """

    def __init__(self, data: Data) -> None:
        self._discrete = isinstance(data.space, AbstractDiscreteSpace)
        self._data = data
        count = min(_NUM_COMPARED, len(data.test), len(data.train))
        self._test = _flat(_first(data.test, count))
        train = _flat(_first(data.train, count))
        self._floors = [measure(train, self._test, {}, discrete=self._discrete) for measure in SAMPLE_METRICS]
        self._network = evaluation.feature_network(data.name) if data.name in LABELLED_SETS else None
        self._of_features: dict[str, Any] = {}
        if self._network is not None:
            count = min(NUM_DRAWS, len(data.test), len(data.train))
            self._pictures = data.transform.inverse(_first(data.test, count))
            self._of_features = self._features(data.transform.inverse(_first(data.train, count)))

    def measure(self, draws: np.ndarray, data: Data) -> dict[str, Any]:
        """Every metric of draws, and the same of training rows as ``<name>_floor``.

        Pictures of sets with classes are judged by the set's own classifier too.

        Args:
            draws: In the model's units.
            data: The data as the model sees them.
        """
        flat = self._in_common_units(_flat(draws)[:_NUM_COMPARED], data)
        out: dict[str, Any] = {}
        for measure, floor in zip(SAMPLE_METRICS, self._floors, strict=True):
            found = measure(flat, self._test, floor, discrete=self._discrete)
            out |= _values(found) | _as_floors(_values(floor))
        if self._network is not None:
            out |= self._features(data.transform.inverse(draws[:NUM_DRAWS])) | _as_floors(self._of_features)
            out["feature_network"] = str(self._network)
        return out

    def _in_common_units(self, draws: np.ndarray, data: Data) -> np.ndarray:
        """Logits of pixels back as the pixels that the other models draw, noise of grey levels included."""
        (theirs, ours) = (_behind_levels(one.transform) for one in (data, self._data))
        if len(theirs) == len(ours):
            return draws
        rows = draws
        for part in reversed(theirs):
            rows = part.inverse(rows)
        for part in ours:
            rows = part.forward(rows)
        # Those that diverged stay what they are, and are refused.
        return np.where(np.isfinite(draws), rows, draws).astype(draws.dtype)

    def _features(self, pictures: np.ndarray) -> dict[str, float]:
        assert self._network is not None
        # Views of bits are black and white; all others are grey levels.
        ends = (0.0, 1.0) if self._discrete else None
        found = evaluation.feature_quality(self._network, pictures, self._pictures, value_range=ends)
        fidelity = found.fidelity
        return {
            "frechet": found.frechet.value,
            "feature_precision": fidelity.precision.value,
            "feature_recall": fidelity.recall.value,
            "class_coverage": found.classes.num_covered / found.classes.shares.size,
            "class_distance": found.classes.distance.value,
        }


def _behind_levels(transform: AbstractTransform) -> tuple[AbstractTransform, ...]:
    """The parts of a transform that come after noise was added to grey levels; none without noise."""
    parts = transform.parts if isinstance(transform, Composed) else ()
    places = [place for place, part in enumerate(parts) if isinstance(part, Dequantize)]
    return parts[places[0] + 1 :] if places else ()


def _first(split: Split, count: int) -> np.ndarray:
    return np.asarray(split.take(np.arange(count)))


def _flat(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows).reshape(len(rows), -1)


def _values(found: Mapping[str, Estimate]) -> dict[str, float]:
    return {name: one.value for name, one in found.items()}


def _as_floors(values: Mapping[str, float]) -> dict[str, float]:
    return {f"{name}_floor": value for name, value in values.items()}
