"""What changes of single sites would do to the energy: the knowledge of locally informed proposals."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from energax._errors import ArgumentError
from energax._typing import BoolScalar, Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy, conditional_logits, value_and_score
from energax.kernels._base import AbstractState
from energax.kernels._site_metropolis import indices
from energax.spaces import AbstractDiscreteSpace, AbstractTwoValuedSpace

DIFFERENCES = ("exact", "gradient")


class InformedState(AbstractState):
    """Configuration, its energy, and log p(x with site i at value v) − log p(x), shape (*sites, values)."""

    x: Configuration
    value: Scalar
    changes: Float[Array, "*sites values"]


def informed_state(energy: AbstractEnergy, x: Array, differences: str) -> InformedState:
    """The state at `x`, with differences of the energy that are exact, or those of its tangent at x."""
    space = discrete_space(energy)
    if differences == "gradient":
        point = x.astype(jnp.result_type(float))
        value, score = value_and_score(energy, point)
        steps = jnp.asarray(space.values, score.dtype) - point[..., None].astype(score.dtype)
        return InformedState(x, value, score[..., None] * steps)
    logits = space.masked(conditional_logits(energy, x))
    if isinstance(space, AbstractTwoValuedSpace):
        logits = jnp.stack([jnp.zeros_like(logits), logits], axis=-1)
    here = jnp.take_along_axis(logits, indices(space, x)[..., None], axis=-1)
    return InformedState(x, energy(x), logits - here)


def discrete_space(energy: AbstractEnergy) -> AbstractDiscreteSpace:
    """The space of an energy that a kernel with discrete needs was given."""
    assert isinstance(energy.space, AbstractDiscreteSpace)
    return energy.space


def check_differences(name: str, differences: str) -> None:
    """Raise ArgumentError unless `differences` is one of `DIFFERENCES`."""
    if differences not in DIFFERENCES:
        raise ArgumentError(f'{name} knows differences="exact" and "gradient", got {differences!r}.')


def needs_of(differences: str) -> frozenset[str]:
    """A tangent needs values that are numbers: two of them, because codes of categories are not."""
    return frozenset({"conditional_logits" if differences == "exact" else "flip_deltas"})


def is_current(space: AbstractDiscreteSpace, index: Int[Array, "*sites"]) -> Bool[Array, "*sites values"]:
    """Which value each site has."""
    return index[..., None] == jnp.arange(len(space.values))


class OneChange(eqx.Module):
    """One site takes another value: q(i, v) ∝ exp(½ change_iv) over all sites i and values v ≠ x_i.

    Attributes:
        space: What the values of a site are.
        x: The configuration.
        changes: Of `InformedState`.
    """

    space: AbstractDiscreteSpace = eqx.field(static=True)
    x: Int[Array, "*sites"]
    changes: Float[Array, "*sites values"]

    @property
    def log_weights(self) -> Float[Array, "*sites values"]:
        """½ change_iv, −∞ for the values that sites have."""
        return jnp.where(is_current(self.space, indices(self.space, self.x)), -jnp.inf, 0.5 * self.changes)

    def draw(self, *, key: PRNGKey) -> Int[Array, "*sites"]:
        """One draw of the whole configuration."""
        site, value = jnp.divmod(jax.random.categorical(key, self.log_weights.reshape(-1)), len(self.space.values))
        new = jnp.asarray(self.space.values, self.x.dtype)[value]
        return self.x.reshape(-1).at[site].set(new).reshape(self.x.shape)

    def log_prob(self, y: Int[Array, "*sites"]) -> Scalar:
        """Log-probability of a configuration, −∞ unless it differs at one site."""
        differs = y != self.x
        chosen = jnp.take_along_axis(self.log_weights, indices(self.space, y)[..., None], axis=-1)[..., 0]
        total = jnp.sum(jnp.where(differs, chosen, 0.0)) - jax.nn.logsumexp(self.log_weights)
        return jnp.where(jnp.sum(differs) == 1, total, -jnp.inf)


class IndependentChanges(eqx.Module):
    """All sites at once: q_i(v) ∝ exp(b change_iv − [v ≠ x_i]/(2α)).

    Attributes:
        space: What the values of a site are.
        x: The configuration.
        changes: Of `InformedState`.
        step_size: α.
        balance: b.
    """

    space: AbstractDiscreteSpace = eqx.field(static=True)
    x: Int[Array, "*sites"]
    changes: Float[Array, "*sites values"]
    step_size: Scalar
    balance: Scalar | float = 0.5

    @property
    def logits(self) -> Float[Array, "..."]:
        """Logits of all sites in the form of their space."""
        cost = 1 / (2 * self.step_size.astype(self.changes.dtype))
        stays = is_current(self.space, indices(self.space, self.x))
        balance = jnp.asarray(self.balance, self.changes.dtype)
        logits = balance * self.changes - jnp.where(stays, 0.0, cost)
        return logits[..., 1] - logits[..., 0] if isinstance(self.space, AbstractTwoValuedSpace) else logits

    def draw(self, *, key: PRNGKey) -> Int[Array, "*sites"]:
        """One draw of the whole configuration."""
        return self.space.draw_sites(self.logits, key=key).astype(self.x.dtype)

    def log_prob(self, y: Int[Array, "*sites"]) -> Scalar:
        """Log-probability of a configuration."""
        return jnp.sum(self.space.site_log_probs(self.logits, y))


def are_numbers(state: InformedState) -> BoolScalar:
    """Whether energy and differences are such that a next step can be made from them."""
    return jnp.isfinite(state.value) & ~jnp.any(jnp.isnan(state.changes))
