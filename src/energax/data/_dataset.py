"""A data set as models, objectives and evaluation see it."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from energax._errors import ArgumentError
from energax.data._split import Split
from energax.data._transforms import AbstractTransform
from energax.densities import AbstractDensity
from energax.spaces import AbstractArraySpace, AbstractDiscreteSpace, Euclidean


@dataclasses.dataclass(frozen=True, eq=False)
class Data:
    """Training, validation and test rows with the space they live in and the way back to the user's units.

    Attributes:
        name: Name of the set, or of the file without its folder.
        kind: ``"image"``, ``"planar"`` or ``"table"``.
        space: What one row is to the model: `Binary`, or `Euclidean` with chains starting from N(0, 1).
        train: Training rows.
        valid: Validation rows.
        test: Test rows.
        density: The law that the rows were drawn from, where it is known in closed form, else None.
        transform: Map from the user's units to the model's, with its log-determinant; the identity for binarised data.
        binarize: How grey levels became 0 and 1: ``"threshold"``, ``"stochastic"`` or None.
        image_shape: (height, width) or (height, width, colours) of images, else None.
        num_levels: Number of grey levels that noise was added to, else None.
        level_step: Difference of two grey levels in the user's units, else None.
        columns: Names of the columns, where the file has them.
        value_range: Smallest and largest stored value.
        origin: Where the rows come from.
        fingerprint: SHA-256 of the stored rows (of a sample of them above 64 MB).
        notes: Sentences that the user should read.
    """

    name: str
    kind: str
    space: AbstractArraySpace
    train: Split
    valid: Split
    test: Split
    density: AbstractDensity | None = dataclasses.field(repr=False)
    transform: AbstractTransform = dataclasses.field(repr=False)
    binarize: str | None
    image_shape: tuple[int, ...] | None
    num_levels: int | None
    level_step: float | None
    columns: tuple[str, ...] | None
    value_range: tuple[float, float]
    origin: str
    fingerprint: str
    notes: tuple[str, ...]

    def bits_per_dim(self, log_likelihood: float) -> float:
        """Bits for each pixel of images with grey levels.

        −(log p + D log Δ) / (D log 2) for D pixels whose levels are Δ apart. With uniform dequantisation it is an upper
        bound of the bits that the model needs for a grey level [theis2016].

        Args:
            log_likelihood: Mean log-likelihood of a row in the user's units, in nats: that of the model's units plus
                `transform.log_det`.

        Raises:
            ArgumentError: The data have no grey levels, or were binarised.
        """
        if self.level_step is None:
            raise ArgumentError(
                f"Bits per dimension are for images with grey levels; {self.name} gives the model none."
            )
        size = self.space.num_sites
        return -(log_likelihood + size * math.log(self.level_step)) / (size * math.log(2))

    def seen_through(self, transform: AbstractTransform) -> Data:
        """The same continuous rows, mapped to the model's units by another transform.

        Args:
            transform: From the user's units; it is taken to bring rows near mean 0 and scale 1. Grey levels need
                `Dequantize` in it.

        Raises:
            ArgumentError: The rows are 0 and 1 to the model.
        """
        if isinstance(self.space, AbstractDiscreteSpace):
            raise ArgumentError(f"{self.name} is discrete to the model, and has no other transform.")
        space = Euclidean(self.space.shape, initial_scale=1.0)

        def moved(split: Split) -> Split:
            return dataclasses.replace(split, transform=transform, dtype=np.dtype(space.struct.dtype))

        return dataclasses.replace(
            self,
            space=space,
            train=moved(self.train),
            valid=moved(self.valid),
            test=moved(self.test),
            transform=transform,
        )

    def __str__(self) -> str:
        counts = f"{len(self.train)} train, {len(self.valid)} valid, {len(self.test)} test"
        shape = " × ".join(str(n) for n in (self.image_shape or self.space.shape))
        view = f", binarized ({self.binarize})" if self.binarize else ""
        return f"{self.name}: {self.kind} of {shape}{view}; {counts}; {self.space}"
