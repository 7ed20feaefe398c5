"""What every model that makes data answers: draw, say what its likelihood is, and, if it has a latent, encode."""

import abc
from typing import TYPE_CHECKING, Literal, TypeAlias

import equinox as eqx
from equinox import AbstractVar
from jaxtyping import Array

from energax._typing import Configuration, PRNGKey, Scalar
from energax.spaces import AbstractSpace

LikelihoodKind: TypeAlias = Literal["exact", "bound", "estimate", "none"]
"""What `log_likelihood` is, for the law that `draw` follows.

``"exact"``: log p(x), up to rounding and the error of a solver. ``"bound"``: a lower bound in the mean over the key.
``"estimate"``: neither, because it is random without being a bound, or of another law than that of the draws.
``"none"``: there is none, and asking raises `NotTractable`.
"""


class AbstractGenerator(eqx.Module):
    """A model that makes configurations: energy-based or not, it answers the same questions.

    Every density is one. `likelihood` says what its `log_likelihood` means, so that a table of several models never
    compares a bound with a value unseen.
    """

    if TYPE_CHECKING:

        @property
        def space(self) -> AbstractSpace:
            """What a configuration is."""
            ...
    else:
        space: AbstractVar[AbstractSpace]

    @property
    @abc.abstractmethod
    def likelihood(self) -> LikelihoodKind:
        """What `log_likelihood` is."""

    @property
    @abc.abstractmethod
    def draw_evaluations(self) -> int | None:
        """How often the network, or the energy, is evaluated for one draw; None where that depends on the draw."""

    @abc.abstractmethod
    def draw(self, *, key: PRNGKey) -> Configuration:
        """One configuration."""

    @abc.abstractmethod
    def log_likelihood(self, x: Configuration, *, key: PRNGKey) -> Scalar:
        """Of one configuration, in nats, with respect to the measure of `space`.

        Args:
            x: One configuration.
            key: Random key; without use where the likelihood is exact.

        Raises:
            NotTractable: `likelihood` is ``"none"``.
        """


class AbstractLatentGenerator(AbstractGenerator):
    """A generator that makes data of a latent vector, so that data can be interpolated and walked through."""

    @abc.abstractmethod
    def draw_latent(self, *, key: PRNGKey) -> Array:
        """One latent vector of the prior."""

    @abc.abstractmethod
    def decode(self, z: Array) -> Array:
        """The configuration, or the mean of the configurations, that a latent vector stands for."""


class AbstractAutoencoder(AbstractLatentGenerator):
    """A latent generator that also knows the way back."""

    @abc.abstractmethod
    def encode(self, x: Array, *, key: PRNGKey) -> Array:
        """A latent vector of a configuration: one draw of the posterior, or the only one that there is."""
