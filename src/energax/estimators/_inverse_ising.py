"""The inverse Ising problem: couplings and fields of spins from their configurations."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from energax._errors import ArgumentError, ShapeError
from energax.estimators._arrays import Floats

_STRENGTHS = {"rise": 0.4, "log-rise": 0.8, "pseudo-likelihood": 0.2}
"""c of the default penalty c √(ln(p²/0.05)/M), by method."""


@dataclasses.dataclass(frozen=True)
class InverseIsing:
    """Couplings and fields that were found, of p(s) ∝ exp(Σ_{i<j} J_ij s_i s_j + Σ_i H_i s_i).

    Attributes:
        couplings: J, symmetric with an empty diagonal, shape (p, p).
        field: H, shape (p,).
        asymmetry: Largest difference of the two estimates of one coupling, from either of its ends: an error of the
            order of the estimates' own.
        penalty: λ.
        num_steps: Steps of the solver.
        converged: Whether its tolerance was reached.
    """

    couplings: Floats
    field: Floats
    asymmetry: float
    penalty: float
    num_steps: int
    converged: bool

    @property
    def edges(self) -> list[tuple[int, int]]:
        """Pairs i < j whose coupling is not zero."""
        rows, columns = np.nonzero(np.triu(self.couplings))
        return list(zip(rows.tolist(), columns.tolist(), strict=True))

    def __repr__(self) -> str:
        ended = "converged" if self.converged else "NOT converged"
        return (
            f"InverseIsing({len(self.field)} spins, {len(self.edges)} couplings, penalty={self.penalty:.3g}, "
            f"asymmetry={self.asymmetry:.2g}, {ended} in {self.num_steps} steps)"
        )


def inverse_ising(
    spins: ArrayLike,
    *,
    method: str = "rise",
    weights: ArrayLike | None = None,
    penalty: float | None = None,
    threshold: float = 0.0,
    fit_field: bool = True,
    tolerance: float = 1e-7,
    max_steps: int = 5_000,
) -> InverseIsing:
    """Couplings and fields of an Ising model from configurations of its spins, site by site, with sparsity.

    With m_i = s_i (Σ_j J_ij s_j + H_i), each site i minimises a convex loss plus λ Σ_j |J_ij|: ``"rise"``
    E_data exp(−m_i), interaction screening; ``"log-rise"`` its logarithm; ``"pseudo-likelihood"``
    E_data log(1 + exp(−2 m_i)), L1-regularised logistic regression. Fields carry no penalty. The two estimates of each
    coupling are averaged, and those of `threshold` or less are set to 0.

    Exactness: consistent with λ → 0 as rows are added. With λ > 0 couplings are pulled towards 0 by about λ over the
    curvature of the loss: to know their values as well, fit once more with ``penalty=0``.

    Cost: O(M p²) a step, a few dozen to a few hundred steps of accelerated proximal gradients, all sites at once.

    Args:
        spins: Rows of −1 and +1, shape (M, p); rows are independent draws.
        method: One of the three. RISE and logRISE need fewest rows where couplings are strong.
        weights: How often each row was seen, shape (M,); once by default.
        penalty: λ; by default c √(ln(p²/0.05)/M) with c = 0.4, 0.8 and 0.2 for the three methods.
        threshold: Couplings that small are dropped. To find a graph whose couplings are at least α: α/2.
        fit_field: Whether H is fitted; otherwise it is 0.
        tolerance: The largest component of the proximal gradient at the end.
        max_steps: The most steps.

    Returns:
        Symmetric couplings, fields, and how the solver ended.

    Raises:
        ShapeError: The rows are not a matrix, or there are not as many weights.
        ArgumentError: A value is not ±1, a spin never changes, or an option is out of range.

    Example:
        >>> import numpy as np
        >>> from energax import estimators
        >>> rng = np.random.default_rng(0)
        >>> first, third = rng.choice([-1, 1], (2, 2_000))
        >>> second = np.where(rng.random(2_000) < 0.8, first, -first)  # J = atanh(0.6) = 0.69
        >>> estimators.inverse_ising(np.stack([first, second, third], 1), threshold=0.15).edges
        [(0, 1)]

    References:
        [vuffray2016], [lokhov2018] with its penalties; [besag1975]
    """
    s, law, total = _checked(spins, weights)
    num = s.shape[1]
    if method not in _STRENGTHS:
        raise ArgumentError(f"Unknown method {method!r}. Known: {', '.join(_STRENGTHS)}.")
    if penalty is None:
        penalty = _STRENGTHS[method] * math.sqrt(math.log(num**2 / 0.05) / total)
    if not 0 <= penalty < math.inf or not 0 <= threshold < math.inf or max_steps < 1 or not tolerance > 0:
        raise ArgumentError(
            f"`penalty` and `threshold` must not be negative, `tolerance` and `max_steps` must be positive, got "
            f"{penalty}, {threshold}, {tolerance}, {max_steps}."
        )
    free = np.concatenate([1.0 - np.eye(num), np.full((1, num), float(fit_field))])
    shrink = np.concatenate([np.full((num, num), penalty), np.zeros((1, num))])
    loss = _site_losses(s, law, method, free)
    found, steps, converged = _proximal_descent(loss, shrink, np.zeros_like(free), tolerance, max_steps)
    matrix = found[:-1]
    couplings = 0.5 * (matrix + matrix.T)
    couplings[np.abs(couplings) <= threshold] = 0.0
    asymmetry = float(np.max(np.abs(matrix - matrix.T)))
    return InverseIsing(couplings, found[-1], asymmetry, float(penalty), steps, converged)


_Loss = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def _site_losses(s: np.ndarray, law: np.ndarray, method: str, free: np.ndarray) -> _Loss:
    """Parameters (couplings above fields, a column for each site) -> the loss of each site and its gradient."""
    inputs = np.concatenate([s, np.ones((len(s), 1))], axis=1)

    def losses(parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        margins = s * (inputs @ parameters)
        if method == "pseudo-likelihood":
            values = law @ np.logaddexp(0.0, -2 * margins)
            slopes = -2 * law[:, None] * np.exp(-np.logaddexp(0.0, 2 * margins))
        else:
            top = np.max(-margins, axis=0)
            terms = law[:, None] * np.exp(-margins - top)
            mass = terms.sum(0)
            log_mean = np.log(mass) + top
            # A trial step may go far out, where RISE is beyond what a float holds: infinite, and taken back.
            values = log_mean if method == "log-rise" else np.exp(np.minimum(log_mean, 700.0))
            slopes = -terms / mass * (1.0 if method == "log-rise" else values)
        return values, (inputs.T @ (slopes * s)) * free

    return losses


def _proximal_descent(
    loss: _Loss, shrink: np.ndarray, start: np.ndarray, tolerance: float, max_steps: int
) -> tuple[np.ndarray, int, bool]:
    """FISTA with a step length and restarts of its own for each column."""
    x, y = start, start
    momentum, step = np.ones(start.shape[1]), np.ones(start.shape[1])
    value, gradient = loss(y)
    for count in range(1, max_steps + 1):
        trial = y - step * gradient
        new = np.sign(trial) * np.maximum(np.abs(trial) - step * shrink, 0.0)
        move = new - y
        if np.max(np.abs(move) / step) <= tolerance:
            return new, count, True
        bound = value + np.sum(gradient * move, 0) + np.sum(move**2, 0) / (2 * step)
        # Near the end the bound is closer to the value than a sum of float64 can tell.
        good = loss(new)[0] <= bound + 1e-12 * (1 + np.abs(value))
        restart = np.sum(move * (new - x), 0) < 0
        momentum = np.where(restart, 1.0, momentum)
        following = np.where(good, 0.5 * (1 + np.sqrt(1 + 4 * momentum**2)), momentum)
        y = np.where(good, new + (momentum - 1) / following * (new - x), y)
        x = np.where(good, new, x)
        step = np.where(good, 1.05 * step, 0.5 * step)
        momentum = following
        value, gradient = loss(y)
    return x, max_steps, False


def _checked(spins: ArrayLike, weights: ArrayLike | None) -> tuple[np.ndarray, np.ndarray, float]:
    """Spins and the law over their rows, as float64, and the number of rows behind it."""
    s = np.asarray(spins, np.float64)
    if s.ndim != 2 or min(s.shape) < 2:
        raise ShapeError(f"`spins` needs two rows and two columns or more, got an array of shape {s.shape}.")
    if not np.all(np.abs(s) == 1):
        raise ArgumentError("`spins` must be -1 or +1 everywhere. Bits b are the spins 2 b - 1.")
    counts = np.ones(len(s)) if weights is None else np.asarray(weights, np.float64)
    if counts.shape != (len(s),):
        raise ShapeError(f"`weights` needs one number for each of {len(s)} rows, got the shape {counts.shape}.")
    if not np.all(np.isfinite(counts)) or counts.min() < 0 or not counts.sum() > 0:
        raise ArgumentError("`weights` must be finite and not negative, and not all of them 0.")
    stuck = np.flatnonzero(np.ptp(s[counts > 0], axis=0) == 0)
    if len(stuck):
        raise ArgumentError(f"Spin {stuck[0]} has one value in all rows, so that nothing is known of it: leave it out.")
    return s, counts / counts.sum(), float(counts.sum())
