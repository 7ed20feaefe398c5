"""The path to a model: its base, the pilot along it, and the places that the path has to reach."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from energax._errors import ArgumentError, KernelMismatch, NotTractable
from energax._typing import PRNGKey
from energax.densities import AbstractDensity, IndependentSites, SiteMixture, default_base
from energax.energies import AbstractEnergy, Block, blocks, exact_draw, latent, marginal, observed, observed_space
from energax.evaluation._annealed import BATCH, UNIT, annealed
from energax.evaluation._fit_base import fit_base
from energax.evaluation._hunt import hunt
from energax.evaluation._mixture import LabelledPath, Mixture
from energax.evaluation._pilot import Pilot, run_pilot
from energax.evaluation._places import Places, examine, missed_modes
from energax.kernels import AbstractKernel, AbstractStepSizeKernel, target
from energax.paths import AbstractPath, Geometric
from energax.spaces import AbstractTwoValuedSpace

_NUM_FOUND = BATCH // 2
_HUNT_SWEEPS = 48
_CHECKED = 8
"""Draws at which a caller's path is compared with the energy."""


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A path with everything that pilots found out about it.

    Attributes:
        path: The path.
        kernel: The kernel of the run.
        pilot: Its levels and step sizes.
        found: Configurations that the search for modes found, deepest first; None where exact draws exist.
        places: Those, and as many from the data or from the pilot, examined.
        base: What the base is, in words.
    """

    path: AbstractPath
    kernel: AbstractKernel
    pilot: Pilot
    found: PyTree[np.ndarray] | None
    places: Places | None
    base: str


def prepare(
    energy: AbstractEnergy,
    kernel: AbstractKernel,
    base: AbstractDensity | AbstractPath | None,
    rows: Any,
    *,
    tell: Callable[[int], None],
    key: PRNGKey,
) -> Prepared:
    """Choose a base, run a pilot, look for modes that annealing misses, and take them into the base.

    Args:
        energy: The model.
        kernel: The kernel.
        base: The caller's base or path, which is taken as it is; None for a choice.
        rows: Rows of data or None.
        tell: Called with the number of transitions made.
        key: Random key.
    """
    keys = jax.random.split(key, 7)
    base, path, pilot, name = plain_path(energy, kernel, base, rows, tell=tell, key=keys[0])
    if can_draw_exactly(energy):
        return Prepared(path, kernel, pilot, None, None, name)
    at_end = _at_end(kernel, pilot)
    found = hunt(energy, at_end, base, num=_NUM_FOUND, num_sweeps=_HUNT_SWEEPS, key=keys[1])
    rng = np.random.default_rng(np.asarray(jax.random.bits(keys[2], (4,), np.uint32)))
    others = jax.tree.map(lambda leaf: leaf[-1], pilot.x) if rows is None else rows
    picks = rng.integers(jax.tree.leaves(others)[0].shape[0], size=BATCH - _NUM_FOUND)
    starts = jax.tree.map(lambda a, b: np.concatenate([a, b[picks].astype(a.dtype)]), found, others)
    places = examine(energy, at_end, starts, key=keys[3])
    plain = Prepared(path, kernel, pilot, found, places, name)
    if name.endswith("(given)"):
        return plain
    steps = max(2 * UNIT, math.ceil(2 * pilot.length**2 / UNIT) * UNIT)
    back = annealed(path, kernel, pilot, steps, BATCH, 1, x0=places.ends, tell=tell, key=keys[4])
    modes = missed_modes(places, base, -back.log_weights - pilot.log_z, key=keys[6])
    blended = _blend(energy, kernel, base, modes) if modes else None
    if blended is None:
        return plain
    pilot = run_pilot(blended, kernel, key=keys[5])
    tell(pilot.num_transitions)
    return Prepared(blended, kernel, pilot, found, places, f"{name}, with {len(modes)} modes that it missed")


def can_draw_exactly(energy: AbstractEnergy) -> bool:
    """Whether an exact sampler of the model is known."""
    try:
        jax.eval_shape(lambda k: observed(energy, exact_draw(energy, key=k)), jax.random.key(0))
    except NotTractable:
        return False
    return True


def plain_path(
    energy: AbstractEnergy,
    kernel: AbstractKernel,
    base: AbstractDensity | AbstractPath | None,
    rows: Any,
    *,
    tell: Callable[[int], None],
    key: PRNGKey,
) -> tuple[AbstractDensity, AbstractPath, Pilot, str]:
    """A base without modes, its path and pilot, and what it is; arguments as those of `prepare`."""
    space, keys = observed_space(energy), jax.random.split(key)
    by_blocks = "blocks" in kernel.needs
    given = base if isinstance(base, AbstractPath) else None
    if isinstance(base, AbstractPath):
        _check_end(base, energy, key=keys[0])
        base, name = base.start, f"{type(base).__name__} (given)"
    elif base is not None:
        name = f"{type(base).__name__} (given)"
    elif rows is not None:
        base, name = fit_base(space, rows, independent=by_blocks), "fitted to the data"
    else:
        plain = default_base(space)
        pilot = run_pilot(Geometric(plain, energy), kernel, key=keys[0])
        tell(pilot.num_transitions)
        # What a short run along the plain path found of the model is a better start than knowing nothing.
        found = jax.tree.map(lambda leaf: leaf[-1], pilot.x)
        base, name = fit_base(space, found, independent=by_blocks), "fitted to the model"
    if not name.endswith("(given)"):
        name = f"{type(base).__name__} {name}"
    path = Geometric(base, energy) if given is None else given
    pilot = run_pilot(path, kernel, key=keys[1])
    tell(pilot.num_transitions)
    return base, path, pilot, name


def _check_end(path: AbstractPath, energy: AbstractEnergy, *, key: PRNGKey) -> None:
    """Raise unless the path leads to the energy.

    Raises:
        ArgumentError: They differ at some draw of the start.
    """
    x = jax.vmap(lambda k: path.start.draw(key=k))(jax.random.split(key, _CHECKED))
    ends = jax.vmap(lambda y: path.value(jnp.ones(()), y))(x), jax.vmap(marginal(energy))(x)
    there, own = (np.asarray(end, np.float64) for end in ends)
    if not np.allclose(there, own, rtol=1e-4, atol=1e-4 * float(np.abs(own[np.isfinite(own)]).max(initial=1.0))):
        raise ArgumentError("The path that was given as `base` does not end at the energy whose log Z is asked for.")


def _at_end(kernel: AbstractKernel, pilot: Pilot) -> AbstractKernel:
    """The kernel with its step size for t = 1."""
    if pilot.step_sizes is None or not isinstance(kernel, AbstractStepSizeKernel):
        return kernel
    return kernel.with_step_size(jnp.asarray(pilot.step_sizes[-1], kernel.step_size.dtype))


def _blend(
    energy: AbstractEnergy,
    kernel: AbstractKernel,
    base: AbstractDensity,
    modes: list[tuple[AbstractDensity, float]],
) -> AbstractPath | None:
    """The path from the mixture of the base and the modes, None if the kernel cannot follow it."""
    laws = [base, *(law for law, _ in modes)]
    weights = np.asarray([1.0, *(mass for _, mass in modes)])
    # A power of two of components, the last one shared among copies: few shapes, so few compilations.
    copies = 2 ** math.ceil(math.log2(len(laws))) - len(laws)
    weights = np.r_[weights[:-1], np.full(copies + 1, weights[-1] / (copies + 1))]
    laws += [laws[-1]] * copies
    log_weights = jnp.asarray(np.log(weights / weights.sum()), jnp.result_type(float))
    names, space = latent(energy), observed_space(energy)
    if names is not None and kernel.uses_hidden:
        if not isinstance(space, AbstractTwoValuedSpace) or Block((names.observed,)) not in blocks(energy):
            return None
        logits = [law.logits for law in laws if isinstance(law, IndependentSites)]
        return LabelledPath(SiteMixture(jnp.stack(logits), log_weights, space), energy)
    # A mixture couples the sites, so that the hidden part has no closed form beside it: sum it out before.
    path = Geometric(Mixture(tuple(laws), log_weights), energy if kernel.uses_hidden else marginal(energy))
    try:
        target(path.at(jnp.ones(())), kernel)
    except KernelMismatch:
        return None
    return path
