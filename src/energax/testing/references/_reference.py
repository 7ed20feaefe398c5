"""A law that is known exactly: its energy, its draws and its moments."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Array, PyTree

from energax import exact
from energax._typing import Configuration, PRNGKey
from energax.energies import AbstractEnergy
from energax.testing._calibrated import FALSE_ALARM, assert_mean


@dataclasses.dataclass(frozen=True)
class Moment:
    """The exact mean of a function of one configuration.

    Attributes:
        name: What it is called in messages.
        fn: The function of one (observed) configuration; returns an array.
        value: Its mean under the law; None where `energax.exact` computes it.
    """

    name: str
    fn: Callable[[Configuration], Array]
    value: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Reference:
    """An energy whose observed law can be drawn from exactly and has known moments.

    Attributes:
        name: What it is called in messages.
        energy: The energy, in the precision that was the default when it was made.
        features: The functions whose means are known.

    Example:
        >>> import jax
        >>> from energax import testing
        >>> ising = testing.references.asymmetric_ising()
        >>> draws = ising.draw(key=jax.random.key(0), num=20_000)
        >>> ising.assert_matches(draws) > testing.FALSE_ALARM
        True
    """

    name: str
    energy: AbstractEnergy
    features: tuple[Moment, ...]

    @functools.cached_property
    def moments(self) -> tuple[Moment, ...]:
        """The features with their exact means."""
        unknown = [f for f in self.features if f.value is None]
        fns = tuple(f.fn for f in unknown)
        values = iter(exact.expectation(self.energy, _Several(fns), dtype=np.float64) if unknown else ())
        return tuple(f if f.value is not None else dataclasses.replace(f, value=next(values)) for f in self.features)

    @functools.cached_property
    def log_z(self) -> float:
        """Log Z, exact."""
        return exact.log_z(self.energy, dtype=np.float64)

    def draw(self, *, key: PRNGKey, num: int) -> PyTree[Array]:
        """Independent exact draws of the observed configuration, shape (num, *event)."""
        return exact.draw(self.energy, key=key, num=num)

    def evaluate(self, draws: PyTree[Array]) -> np.ndarray:
        """The features of every draw, flattened to shape (N, k), float64."""
        outputs = _vmapped(_Several(tuple(f.fn for f in self.features)), draws)
        return np.concatenate([np.asarray(f, np.float64).reshape(len(f), -1) for f in outputs], axis=1)

    def assert_matches(
        self, draws: PyTree[Array], *, false_alarm: float = FALSE_ALARM, name: str | None = None
    ) -> float:
        """Independent draws have the exact moments of this law (`assert_mean` over all features together).

        Args:
            draws: Observed configurations, independent along the leading axis, for instance the last configurations
                of independent chains that began at `draw`.
            false_alarm: Probability of failing for the right law.
            name: What the message calls the draws.

        Returns:
            The corrected p-value of the worst moment.

        Raises:
            AssertionError: A moment is off.
        """
        want = [np.asarray(m.value, np.float64).reshape(-1) for m in self.moments]
        labels = [f"{m.name}[{i}]" for m, w in zip(self.moments, want, strict=True) for i in range(len(w))]
        label = f"{name or self.name} (moments: {', '.join(f'{i}={x}' for i, x in enumerate(labels))})"
        return assert_mean(self.evaluate(draws), np.concatenate(want), false_alarm=false_alarm, name=label)


class _Several:
    """Several functions as one, compared by what they are, so that compiled code is found again."""

    def __init__(self, fns: tuple[Callable[[Configuration], Array], ...]) -> None:
        self.fns = fns

    def __call__(self, x: Configuration) -> list[Array]:
        return [fn(x) for fn in self.fns]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Several) and self.fns == other.fns

    def __hash__(self) -> int:
        return hash(self.fns)


@functools.partial(jax.jit, static_argnums=0)
def _vmapped(fn: _Several, draws: PyTree[Array]) -> list[Array]:
    return jax.vmap(fn)(draws)
