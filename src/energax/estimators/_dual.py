"""The convex problem behind MBAR, solved by Newton's method, and how much its states have in common.

With q_kn = exp(−u_k(x_n)) and N_k draws of state k the dual function of the log-normalisers f = −log Z is

    L(f) = Σ_n log Σ_k N_k e^{f_k} q_kn − Σ_k N_k f_k,

whose Hessian is the Laplacian of a graph: states are nodes, and the edge (i, j) weighs as much as the number of draws
that i and j share, Σ_n p_i(n) p_j(n), where p_k(n) is the probability that draw n came from state k. Draws that are
alike to every state are one column with the number of times that it was seen.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from energax.estimators._arrays import Floats

MAX_ITERATIONS = 200
_REFRESH = 30.0
_FARTHEST = 300.0
_SMALL_STEP = 1e-9
_SMALL_GRADIENT = 1e-14


def solve_dual(u: Floats, counts: Floats, start: Floats, seen: Floats | None = None) -> tuple[Floats, bool]:
    """Minimiser f of the dual with f_0 = 0, and whether the search ended at it.

    Args:
        u: Reduced energies, (K, N).
        counts: Draws of each state, (K,).
        start: Where to begin, (K,).
        seen: How often each column was drawn, (N,); once if None.
    """
    f, converged = start - start[0], False
    times = np.ones(u.shape[1]) if seen is None else seen
    for _ in range(MAX_ITERATIONS):
        shift, converged = _newton(membership(u, counts, f), counts, times)
        f = f + shift
        if converged and np.max(np.abs(shift)) < 1.0:
            break
    return f - f[0], converged


def membership_start(u: Floats, counts: Floats) -> Floats:
    """A first f: the medians of neighbouring energy differences, averaged over the draws of either neighbour."""
    ends = np.cumsum(counts).astype(int)
    owned = [slice(stop - int(n), stop) for stop, n in zip(ends, counts, strict=True)]
    f = np.zeros(len(u))
    for k in range(1, len(u)):
        medians = []
        for own in (owned[k - 1], owned[k]):
            with np.errstate(invalid="ignore"):
                difference = u[k, own] - u[k - 1, own]
            finite = difference[np.isfinite(difference)]
            medians += [float(np.median(finite))] if finite.size else []
        f[k] = f[k - 1] + (sum(medians) / len(medians) if medians else 0.0)
    return f


def membership(u: Floats, counts: Floats, f: Floats) -> Floats:
    """p_k(n), the probability that draw n came from state k, with columns that sum to one."""
    p = np.log(counts)[:, None] + f[:, None] - u
    p -= p.max(axis=0)
    np.exp(p, out=p)
    p /= p.sum(axis=0)
    return p


def _newton(p: Floats, counts: Floats, seen: Floats) -> tuple[Floats, bool]:
    """Steps from f to f + shift in which p is rescaled, never exponentiated anew; stops early after a long way."""
    shift, total = np.zeros(len(p)), float(counts.sum())
    column = np.ones(p.shape[1])
    for _ in range(MAX_ITERATIONS):
        scaled = p * (np.exp(shift)[:, None] / column)
        mass = scaled @ seen
        gradient = mass - counts
        if np.max(np.abs(gradient)) <= _SMALL_GRADIENT * total:
            return shift, True
        step = _step(scaled, mass, gradient, seen)
        tried = np.zeros(len(p)) if step is None else step
        new, new_column, lower = _tried(p, counts, shift, column, tried, seen)
        if step is not None and np.max(np.abs(step)) < _SMALL_STEP:
            return new, True
        if step is None or not lower:
            # The self-consistent equation lowers L from anywhere, however flat it is there.
            step = -np.log(np.maximum(mass, 1e-300) / counts)
            step = np.clip(step - step[0], -_FARTHEST, _FARTHEST)
            new, new_column, _ = _tried(p, counts, shift, column, step, seen)
        shift, column = new, new_column
        if np.max(np.abs(shift)) > _REFRESH:
            return shift, False
    return shift, False


def _step(scaled: Floats, mass: Floats, gradient: Floats, seen: Floats) -> Floats | None:
    """Newton's step with the first state held; None where the Hessian is so flat that it would lead far away."""
    hessian = np.diag(mass) - (scaled * seen) @ scaled.T
    step = np.zeros(len(mass))
    try:
        step[1:] = cho_solve(cho_factor(hessian[1:, 1:]), -gradient[1:])
    except LinAlgError:
        return None
    return step if np.all(np.abs(step) < 2 * _REFRESH) else None


def _tried(
    p: Floats, counts: Floats, shift: Floats, column: Floats, step: Floats, seen: Floats
) -> tuple[Floats, Floats, bool]:
    new = shift + step
    new_column = np.exp(new) @ p
    with np.errstate(divide="ignore", invalid="ignore"):
        change = float(seen @ np.log(new_column / column) - counts @ step)
    # What rounding makes of a change that is too small to see must not turn a good step away.
    return new, new_column, change <= 1e-9


def smallest_cut(shared: Floats) -> tuple[float, list[int]]:
    """The weight of the lightest cut of a weighted graph, and the nodes on one side of it [stoer1997].

    Args:
        shared: Symmetric weights, shape (K, K), K >= 2; the diagonal is ignored.
    """
    weights = np.array(shared, np.float64)
    np.fill_diagonal(weights, 0.0)
    groups = [[k] for k in range(len(weights))]
    best, side = math.inf, [0]
    while len(groups) > 1:
        first, second, cut = _last_two(weights)
        if cut < best:
            best, side = cut, list(groups[second])
        groups[first] += groups[second]
        weights[first] += weights[second]
        weights[:, first] = weights[first]
        weights[first, first] = 0.0
        keep = np.arange(len(groups)) != second
        weights = weights[np.ix_(keep, keep)]
        del groups[second]
    return best, sorted(side)


def _last_two(weights: Floats) -> tuple[int, int, float]:
    """The last two nodes of a search that always adds the node most tightly bound, and the last one's weight."""
    bound, free = weights[0].copy(), np.ones(len(weights), bool)
    free[0], last, previous, cut = False, 0, 0, 0.0
    for _ in range(len(weights) - 1):
        previous, last = last, int(np.argmax(np.where(free, bound, -np.inf)))
        free[last] = False
        cut = float(bound[last])
        bound = bound + weights[last]
    return previous, last, cut
