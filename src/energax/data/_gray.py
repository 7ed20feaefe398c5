"""Real numbers as bits of which one changes at a time."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from jaxtyping import Float, Shaped, UInt8

from energax._errors import ArgumentError, DataError


@dataclasses.dataclass(frozen=True)
class GrayCode:
    """Each number as a sign bit and the Gray code of ⌊|x| · scale⌋: points of the plane as 32 bits, for instance.

    Neighbouring cells, of side 1/scale, differ in one bit. The scale is fixed, so that likelihoods of several runs and
    papers have one origin: a law with density p has codes of probability p/scale^d, and their entropy is
    h + d ln scale, which no model's mean −log q can go below.

    Args:
        scale: Cells in a unit of x.
        num_bits: Bits of each number, 2 to 32.

    Raises:
        ArgumentError: A number is out of range.

    Example:
        >>> import numpy as np
        >>> code = GrayCode(scale=2.0, num_bits=4)
        >>> code.encode(np.array([[1.2, -0.1]])).tolist()
        [[0, 0, 1, 1, 1, 0, 0, 0]]
        >>> code.decode(code.encode(np.array([[1.2, -0.1]]))).tolist()
        [[1.25, -0.25]]

    References:
        [dai2020], whose cell at 0 is twice as wide because −0 is 0, and whose scale changes from run to run.
    """

    scale: float
    num_bits: int = 16

    def __post_init__(self) -> None:
        if not 0 < self.scale < math.inf or not 2 <= self.num_bits <= 32:
            raise ArgumentError(f"GrayCode needs scale > 0 and 2 to 32 bits, got {self.scale} and {self.num_bits}.")

    def encode(self, x: Float[np.ndarray, "n d"]) -> UInt8[np.ndarray, "n bits"]:
        """The bits of rows, those of the first number first.

        Raises:
            DataError: A number is as large as 2^(num_bits − 1)/scale, which has no code.
        """
        x = np.asarray(x, np.float64)
        cells = np.floor(np.abs(x) * self.scale)
        if not (cells < 2.0 ** (self.num_bits - 1)).all():
            limit = 2 ** (self.num_bits - 1) / self.scale
            raise DataError(
                f"Numbers must be below {limit:.4g} to have {self.num_bits} bits, got {np.abs(x).max():.4g}."
            )
        whole = cells.astype(np.int64)
        gray = (whole ^ (whole >> 1))[..., None] >> np.arange(self.num_bits - 2, -1, -1) & 1
        bits = np.concatenate([(x < 0)[..., None], gray], axis=-1)
        return bits.reshape(len(x), -1).astype(np.uint8)

    def decode(self, bits: Shaped[np.ndarray, "n bits"]) -> Float[np.ndarray, "n d"]:
        """The middle of the cell of each row of bits."""
        bits = np.asarray(bits).reshape(len(bits), -1, self.num_bits).astype(np.int64)
        binary = np.cumsum(bits[..., 1:], axis=-1) % 2
        cells = binary @ (1 << np.arange(self.num_bits - 2, -1, -1))
        return np.where(bits[..., 0] == 1, -1.0, 1.0) * (cells + 0.5) / self.scale
