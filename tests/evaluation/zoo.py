"""Enumerable machines that are hard to evaluate, all of one shape, with exact log Z and rows of several kinds."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from energax.energies import RBM

NUM_VISIBLE, NUM_HIDDEN = 20, 8
_NUM_ROWS = 400


class Machine(NamedTuple):
    weights: np.ndarray
    visible_bias: np.ndarray
    hidden_bias: np.ndarray

    @property
    def energy(self) -> RBM:
        return RBM.from_parameters(*(jnp.asarray(a, jnp.float32) for a in self))


def all_states(num: int) -> np.ndarray:
    return (np.arange(2**num)[:, None] >> np.arange(num)) & 1


def log_masses(machine: Machine) -> np.ndarray:
    """Log Σ_v exp(−E(v, h)) for every h, from the parameters as the float32 energy holds them."""
    w, b, c = (np.asarray(a, np.float32).astype(np.float64) for a in machine)
    h = all_states(len(c)).astype(np.float64)
    return h @ c + np.logaddexp(0.0, b + h @ w.T).sum(axis=1)


def exact_log_z(machine: Machine) -> float:
    return float(np.logaddexp.reduce(log_masses(machine)))


def exact_rows(machine: Machine, rng: np.random.Generator, num: int = _NUM_ROWS) -> np.ndarray:
    """Independent draws of the visible law."""
    logs = log_masses(machine)
    p = np.exp(logs - np.logaddexp.reduce(logs))
    h = all_states(NUM_HIDDEN)[rng.choice(p.size, size=num, p=p / p.sum())]
    logits = machine.visible_bias + h @ machine.weights.T
    return (rng.random(logits.shape) < on(logits)).astype(np.int8)


def on(logits: np.ndarray) -> np.ndarray:
    """Probability of the value one."""
    return 0.5 * (1.0 + np.tanh(0.5 * logits))


def small(rng: np.random.Generator) -> Machine:
    scale = rng.uniform(0.02, 0.5)
    return Machine(
        scale * rng.normal(size=(NUM_VISIBLE, NUM_HIDDEN)), rng.normal(size=NUM_VISIBLE), rng.normal(size=NUM_HIDDEN)
    )


def strong(rng: np.random.Generator) -> Machine:
    scale = rng.uniform(1.0, 6.0)
    w = scale * rng.normal(size=(NUM_VISIBLE, NUM_HIDDEN))
    return Machine(w, scale * rng.normal(size=NUM_VISIBLE) - w.sum(1) / 2, scale * rng.normal(size=NUM_HIDDEN))


def planted(patterns: np.ndarray, log_mass: np.ndarray, depth: float) -> Machine:
    """Hidden unit j holds pattern j: with it alone, every visible unit agrees with odds exp(depth)."""
    signs = 2.0 * patterns - 1.0
    bias = np.full(NUM_VISIBLE, -depth)
    w = np.zeros((NUM_VISIBLE, NUM_HIDDEN))
    w[:, : len(patterns)] = (signs.T + 1.0) * depth
    c = np.full(NUM_HIDDEN, -200.0)
    # With no unit on the visibles are all off, which has this mass already.
    alone = np.logaddexp(0.0, bias[:, None] + w).sum(axis=0)[: len(patterns)]
    c[: len(patterns)] = np.logaddexp(0.0, bias).sum() + log_mass - alone
    return Machine(w, bias, c)


def two_modes(rng: np.random.Generator) -> Machine:
    """All off, and one pattern that a single hidden unit guards, of very unequal mass either way."""
    pattern = (rng.random((1, NUM_VISIBLE)) < 0.7).astype(int)
    return planted(pattern, rng.uniform(-4.0, 4.0, size=1), rng.uniform(2.0, 6.0))


def several_modes(rng: np.random.Generator) -> Machine:
    count = int(rng.integers(2, NUM_HIDDEN))
    patterns = (rng.random((count, NUM_VISIBLE)) < 0.5).astype(int)
    return planted(patterns, rng.normal(size=count) * 2.0, rng.uniform(2.0, 5.0))


def opposite_modes(rng: np.random.Generator) -> Machine:
    """A pattern and its complement, and a flat stretch between: strong couplings of one hidden unit."""
    depth = rng.uniform(2.0, 6.0)
    signs = rng.choice([-1.0, 1.0], size=NUM_VISIBLE)
    w = 0.1 * rng.normal(size=(NUM_VISIBLE, NUM_HIDDEN))
    w[:, 0] = 2.0 * depth * signs
    c = 0.1 * rng.normal(size=NUM_HIDDEN)
    b = -depth * signs
    on = np.logaddexp(0.0, b + w[:, 0]).sum()
    c[0] = np.logaddexp(0.0, b).sum() - on + rng.uniform(-3.0, 3.0)
    return Machine(w, b, c)


def narrow(rng: np.random.Generator) -> Machine:
    """A broad bulk of weak couplings, and one narrow deep mode that a single hidden unit opens."""
    w = 0.3 * rng.normal(size=(NUM_VISIBLE, NUM_HIDDEN))
    w[:, 0] = rng.uniform(4.0, 10.0) * rng.choice([-1.0, 1.0], size=NUM_VISIBLE)
    b, c = 0.3 * rng.normal(size=NUM_VISIBLE), 0.3 * rng.normal(size=NUM_HIDDEN)
    return _opened(w, b, c, np.arange(NUM_HIDDEN) < 1, rng.uniform(-4.0, 4.0))


def _opened(weights: np.ndarray, b: np.ndarray, c: np.ndarray, units: np.ndarray, log_mass: float) -> Machine:
    """The same bias for all of `units`, so that all of them together give `log_mass` relative to none of them."""
    rest = ~units

    def mass(field: np.ndarray) -> float:
        return float(np.logaddexp.reduce(log_masses(Machine(weights[:, rest], b + field, c[rest]))))

    gain = mass(weights[:, units].sum(axis=1)) - mass(np.zeros(NUM_VISIBLE))
    return Machine(weights, b, np.where(units, (log_mass - gain) / units.sum(), c))


def conjunction(rng: np.random.Generator) -> Machine:
    """A narrow deep mode that opens only if several hidden units are on together: each alone is worth nothing."""
    units = np.arange(NUM_HIDDEN) < rng.integers(2, 5)
    w = 0.2 * rng.normal(size=(NUM_VISIBLE, NUM_HIDDEN))
    signs = rng.choice([-1.0, 1.0], size=NUM_VISIBLE)
    w[:, units] = rng.uniform(3.0, 8.0) * signs[:, None] / units.sum()
    b, c = 0.2 * rng.normal(size=NUM_VISIBLE), 0.2 * rng.normal(size=NUM_HIDDEN)
    return _opened(w, b, c, units, rng.uniform(-4.0, 4.0))


def contradiction(rng: np.random.Generator) -> Machine:
    """The same with two units, each of which alone pulls about half of the sites the wrong way."""
    units = np.arange(NUM_HIDDEN) < 2
    w = 0.2 * rng.normal(size=(NUM_VISIBLE, NUM_HIDDEN))
    signs, first = rng.choice([-1.0, 1.0], size=NUM_VISIBLE), rng.random(NUM_VISIBLE) < 0.5
    right = rng.uniform(8.0, 20.0)
    wrong = right - rng.uniform(2.0, 5.0)
    w[:, 0], w[:, 1] = signs * np.where(first, right, -wrong), signs * np.where(first, -wrong, right)
    b, c = 0.2 * rng.normal(size=NUM_VISIBLE), 0.2 * rng.normal(size=NUM_HIDDEN)
    return _opened(w, b, c, units, rng.uniform(-3.0, 3.0))


def golf_hole(rng: np.random.Generator) -> Machine:
    """Half of the hidden units open a mode together; smaller sets of them lead astray, the others are never on."""
    units = np.arange(NUM_HIDDEN) < NUM_HIDDEN // 2
    w = 6.0 * rng.normal(size=(NUM_VISIBLE, NUM_HIDDEN))
    w[:, units] -= w[:, units].mean(axis=1, keepdims=True)
    signs = rng.choice([-1.0, 1.0], size=NUM_VISIBLE)
    w[:, units] += rng.uniform(3.0, 5.0) * signs[:, None] / units.sum()
    c = np.where(units, 0.0, -200.0)
    return _opened(w, np.zeros(NUM_VISIBLE), c, units, rng.uniform(-2.0, 3.0))


def hopfield(rng: np.random.Generator) -> Machine:
    """Hopfield's memory in the spin coding: patterns, their opposites and blends of them, under a weak field."""
    patterns = rng.choice([-1.0, 1.0], size=(NUM_VISIBLE, NUM_HIDDEN)) * (np.arange(NUM_HIDDEN) < rng.integers(1, 9))
    w = 4.0 * rng.uniform(0.3, 1.5) * patterns
    field = 2.0 * rng.uniform(0.0, 0.2) * rng.normal(size=NUM_VISIBLE)
    return Machine(w, field - w.sum(axis=1) / 2, -w.sum(axis=0) / 2)


def glass(rng: np.random.Generator) -> Machine:
    """Strong random couplings that treat 0 and 1 alike: many modes, each with its opposite."""
    w = rng.uniform(1.0, 6.0) * rng.normal(size=(NUM_VISIBLE, NUM_HIDDEN))
    return Machine(w, -w.sum(axis=1) / 2, -w.sum(axis=0) / 2)


def broad(rng: np.random.Generator) -> Machine:
    """A frozen mode, and one where more than half of the sites are free: higher in energy, and as heavy."""
    b = 6.0 * rng.choice([-1.0, 1.0], size=NUM_VISIBLE)
    w = np.zeros((NUM_VISIBLE, NUM_HIDDEN))
    w[:, 0] = np.where(rng.random(NUM_VISIBLE) < 0.6, -b, -2.0 * b)
    units = np.arange(NUM_HIDDEN) < 1
    return _opened(w, b, np.full(NUM_HIDDEN, -50.0), units, rng.uniform(-3.0, 3.0))


def fitted(rng: np.random.Generator) -> Machine:
    """Persistent CD with a step so large that chains get stuck, on rows from a few noisy patterns."""
    count = int(rng.integers(2, 7))
    patterns = (rng.random((count, NUM_VISIBLE)) < 0.5).astype(int)
    shares = rng.dirichlet(np.ones(count))
    flips = rng.random((_NUM_ROWS, NUM_VISIBLE)) < rng.uniform(0.0, 0.1)
    rows = patterns[rng.choice(count, size=_NUM_ROWS, p=shares)] ^ flips
    w = 0.01 * rng.normal(size=(NUM_VISIBLE, NUM_HIDDEN))
    b, c = np.zeros(NUM_VISIBLE), np.zeros(NUM_HIDDEN)
    v = rows[rng.integers(_NUM_ROWS, size=100)].astype(float)
    rate = rng.choice([0.02, 0.1, 0.3])

    for _ in range(int(rng.integers(200, 3000))):
        data = rows[rng.integers(_NUM_ROWS, size=100)].astype(float)
        h_data = on(c + data @ w)
        h = (rng.random((100, NUM_HIDDEN)) < on(c + v @ w)).astype(float)
        v = (rng.random((100, NUM_VISIBLE)) < on(b + h @ w.T)).astype(float)
        h_model = on(c + v @ w)
        w = w + rate * (data.T @ h_data - v.T @ h_model) / 100
        b = b + rate * (data.mean(0) - v.mean(0))
        c = c + rate * (h_data.mean(0) - h_model.mean(0))
    return Machine(w, b, c)


MAKERS = (
    small,
    strong,
    two_modes,
    several_modes,
    opposite_modes,
    narrow,
    conjunction,
    contradiction,
    golf_hole,
    hopfield,
    glass,
    broad,
    fitted,
)
ZOO = {make.__name__: make for make in MAKERS}
KINDS = ("none", "model", "one mode", "unrelated")


def rows_of(kind: str, machine: Machine, rng: np.random.Generator) -> np.ndarray | None:
    """No rows, draws of the model, rows that know one mode only, rows that know nothing."""
    if kind == "none":
        return None
    if kind == "unrelated":
        return rng.integers(0, 2, size=(_NUM_ROWS, NUM_VISIBLE)).astype(np.int8)
    rows = exact_rows(machine, rng)
    distance = np.abs(rows - rows[0]).sum(axis=1)
    return rows if kind == "model" else rows[distance <= 3]
