"""How good pictures are, in the features of a stated network."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from energax.estimators import (
    Estimate,
    ModeShares,
    PrecisionRecall,
    frechet_distance,
    mode_shares,
    precision_recall,
)
from energax.evaluation._feature_network import features
from energax.evaluation._feature_recipe import TrainedFeatures


@dataclasses.dataclass(frozen=True)
class FeatureQuality:
    """What `feature_quality` found.

    Attributes:
        frechet: Squared Fréchet distance of the features.
        fidelity: Precision, recall, density and coverage in the space of features.
        classes: How draws are spread over the classes, as the network sees them, beside the rows.
        network: The network that all of it depends on, in words.
    """

    frechet: Estimate
    fidelity: PrecisionRecall
    classes: ModeShares
    network: str

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for `json.dumps`."""
        parts = {name: getattr(self, name).to_json() for name in ("frechet", "fidelity", "classes")}
        return {**parts, "network": self.network}

    def __str__(self) -> str:
        return f"Fréchet distance {self.frechet}; {self.fidelity}; {self.classes} ({self.network})"


def feature_quality(
    trained: TrainedFeatures,
    draws: ArrayLike,
    rows: ArrayLike,
    *,
    value_range: tuple[float, float] | None = None,
    num_neighbours: int = 5,
) -> FeatureQuality:
    """Judge pictures beside held-out ones, in the features of the data set's network.

    The network sees what tells its classes apart, and may be blind to the rest. Run it on training rows in place of
    draws, in equal number, for what perfect draws would get.

    Args:
        trained: From `feature_network`.
        draws: Pictures of the model, in the data's own units, shape (n, h, w) or (n, h · w).
        rows: Held-out pictures of the data.
        value_range: As in `features`, of both.
        num_neighbours: k of `estimators.precision_recall`.

    Raises:
        ShapeError: The pictures have not the network's shape, or are no more than there are features.
    """
    network = trained.network
    of_draws, of_rows = (features(network, x, value_range=value_range) for x in (draws, rows))
    weight, bias = np.asarray(network.readout.weight), np.asarray(network.readout.bias)
    at_draws, at_rows = ((x @ weight.T + bias).argmax(1) for x in (of_draws, of_rows))
    known, counts = np.unique(at_rows, return_counts=True)
    # A class that no row is of has no expected share: draws of it are outside.
    number = {int(k): i for i, k in enumerate(known)}
    labels = [number.get(int(k), -1) for k in at_draws]
    return FeatureQuality(
        frechet_distance(of_draws, of_rows),
        precision_recall(of_draws, of_rows, num_neighbours=num_neighbours),
        mode_shares(labels, counts),
        str(trained),
    )
