"""Generative adversarial networks, and the energy that a critic makes of a generator's latent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax._errors import ArgumentError, KernelMismatch, NotTractable
from energax._typing import PRNGKey, Scalar
from energax.densities import AbstractLatentGenerator, LikelihoodKind
from energax.energies import AbstractEnergy, is_confined
from energax.generative._networks import ConvDecoder, ConvEncoder, Dense
from energax.objectives import AbstractStatelessObjective, Metrics, apart, companion
from energax.spaces import Euclidean

Game: TypeAlias = Literal["non-saturating", "hinge", "wasserstein"]
"""What generator and critic play for."""


class PushForward(AbstractLatentGenerator):
    """The law of G(z) with z ~ N(0, I) and a network G: what a GAN trains. It has draws and no density.

    Cost: a draw is one network.

    Args:
        space: Euclidean space, or a shape for it.
        latent_dim: Length of z.
        hidden: Widths of the hidden layers of G.
        channels: Filters of the convolutional layers instead, for images; each doubles the resolution.
        activation: A name of `energies.ACTIVATIONS`.
        network: Your own G, any pytree that maps z to an array of the space's shape.
        key: Random key of the initial weights.

    Raises:
        ArgumentError: `latent_dim` is below 1, or channels are given for data that are no images.

    Example:
        >>> import jax
        >>> from energax import generative
        >>> model = generative.PushForward(2, latent_dim=4, hidden=(16,), key=jax.random.key(0))
        >>> model.draw(key=jax.random.key(1)).shape, model.likelihood
        ((2,), 'none')

    References:
        [goodfellow2014]
    """

    network: Any
    space: Euclidean = eqx.field(static=True)
    latent_dim: int = eqx.field(static=True)

    def __init__(
        self,
        space: Euclidean | int | tuple[int, ...],
        *,
        latent_dim: int,
        hidden: Sequence[int] = (128, 128),
        channels: Sequence[int] | None = None,
        activation: str = "silu",
        network: Any = None,
        key: PRNGKey,
    ) -> None:
        if latent_dim < 1:
            raise ArgumentError(f"PushForward needs latent_dim >= 1, got {latent_dim}.")
        self.space = space if isinstance(space, Euclidean) else Euclidean(space, initial_scale=1.0)
        self.network = network
        if network is None and channels is None:
            self.network = Dense((latent_dim,), self.space.shape, hidden=hidden, activation=activation, key=key)
        elif network is None:
            self.network = ConvDecoder(
                latent_dim, self.space.shape, channels=channels or (), activation=activation, key=key
            )
        self.latent_dim = latent_dim

    @property
    def likelihood(self) -> LikelihoodKind:
        return "none"

    @property
    def draw_evaluations(self) -> int:
        return 1

    def draw_latent(self, *, key: PRNGKey) -> Float[Array, " k"]:
        return jax.random.normal(key, (self.latent_dim,))

    def draw(self, *, key: PRNGKey) -> Array:
        return self.decode(self.draw_latent(key=key))

    def decode(self, z: Float[Array, " k"]) -> Array:
        return self.network(z)

    def log_likelihood(self, x: Array, *, key: PRNGKey) -> Scalar:
        del x, key
        raise NotTractable("A PushForward has no density. Compare its draws with the data instead.")


def critic(
    shape: tuple[int, ...],
    *,
    hidden: Sequence[int] = (128, 128),
    channels: Sequence[int] | None = None,
    activation: str = "silu",
    key: PRNGKey,
) -> Any:
    """An untrained critic: a network from arrays of a shape to one number.

    Args:
        shape: Shape of a configuration.
        hidden: Widths of the hidden layers.
        channels: Filters of the convolutional layers instead, for images.
        activation: A name of `energies.ACTIVATIONS`.
        key: Random key of the initial weights.
    """
    if channels is None:
        return Dense(shape, (), hidden=hidden, activation=activation, key=key)
    return _OneNumber(ConvEncoder(shape, 1, channels=channels, activation=activation, key=key))


class _OneNumber(eqx.Module):
    network: ConvEncoder

    def __call__(self, x: Array) -> Scalar:
        return self.network(x)[0]


class Adversarial(AbstractStatelessObjective):
    """The game between a generator and a critic D, which returns one real number.

    ==================  =========================================  ================
    game                the critic descends                        the generator
    ==================  =========================================  ================
    `non-saturating`    E_data ς(−D) + E_q ς(D)                    E_q ς(−D)
    `hinge`             E_data (1 − D)₊ + E_q (1 + D)₊             −E_q D
    `wasserstein`       E_q D − E_data D                           −E_q D
    ==================  =========================================  ================

    with ς(u) = log(1 + eᵘ). For the first game the best critic is D = log p_data/q, minus whose loss is
    2 JS(p_data, q) − log 4: it is the logit of the discriminator p_data/(p_data + q). For the third the critic has to
    be 1-Lipschitz, which the gradient penalty λ E (‖∇D(u)‖ − 1)² asks for, with u uniform between a row and a draw;
    minus its loss is then the Wasserstein-1 distance, from below.

    Both parts of the game are hidden from the other player, so that one update moves both: the metric `critic_loss`
    is what a critic descends, `generator_loss` the other. Give the critic a higher learning rate by
    ``Learner(..., companion_optimizers={"critic": ...})`` where it is to stay ahead; by default it has 4 times that of
    the generator. Games go round with momentum: give both players an optimiser without, such as
    ``optax.adam(rate, b1=0)``.

    Exactness: unbiased gradients of both losses. That the game comes to rest is not guaranteed: watch `critic_loss`.

    Cost: a draw for each row, two gradients of the critic and one of the generator; the penalty another derivative.

    Args:
        critic: D before the first update: `critic(shape, key=...)`, or any pytree that maps x to a scalar, such as an
            energy. A companion.
        game: A name of the table.
        gradient_penalty: λ ≥ 0. None: 10 with `wasserstein` (on data of order 1, 1 is often better), else 0.

    Raises:
        ArgumentError: An unknown game, a negative penalty, or `wasserstein` without a penalty.

    Example:
        >>> import jax
        >>> from energax import generative
        >>> objective = generative.Adversarial(generative.critic((2,), key=jax.random.key(0)))
        >>> objective.game
        'non-saturating'

    References:
        [goodfellow2014], [lim2017], [arjovsky2017], [gulrajani2017], [heusel2017]
    """

    critic: Any = eqx.field(metadata=companion(learning_rate=4e-3))
    game: Game = eqx.field(static=True)
    gradient_penalty: float = eqx.field(static=True)

    def __init__(self, critic: Any, game: Game = "non-saturating", *, gradient_penalty: float | None = None) -> None:
        if game not in GAMES:
            raise ArgumentError(f"Adversarial knows the games {', '.join(GAMES)}; got {game!r}.")
        penalty = (10.0 if game == "wasserstein" else 0.0) if gradient_penalty is None else gradient_penalty
        if penalty < 0 or (game == "wasserstein" and penalty == 0):
            raise ArgumentError(f"Adversarial needs gradient_penalty >= 0, and > 0 for wasserstein; got {penalty}.")
        self.critic = critic
        self.game = game
        self.gradient_penalty = penalty

    def check(self, energy: Any) -> None:
        if not isinstance(energy, AbstractLatentGenerator):
            raise KernelMismatch(f"Adversarial trains a generator with a latent, got {type(energy).__name__}.")

    def measure(self, energy: AbstractLatentGenerator, batch: Array, *, key: PRNGKey) -> tuple[Scalar, Metrics]:
        of_draws, of_places = jax.random.split(apart(key))
        drawn = jax.vmap(lambda k: energy.decode(energy.draw_latent(key=k)))(jax.random.split(of_draws, len(batch)))
        batch = batch.astype(drawn.dtype)
        on_data, on_draws, of_generator = GAMES[self.game]
        judge, unmoved = self.critic, _unmoved(self.critic)
        still = jax.lax.stop_gradient(drawn)
        critic_loss = jnp.mean(on_data(jax.vmap(judge)(batch))) + jnp.mean(on_draws(jax.vmap(judge)(still)))
        generator_loss = jnp.mean(of_generator(jax.vmap(unmoved)(drawn)))
        metrics = {"critic_loss": critic_loss, "generator_loss": generator_loss}
        total = critic_loss + generator_loss
        if self.gradient_penalty:
            mix = jax.random.uniform(of_places, (len(batch), *[1] * (batch.ndim - 1)), batch.dtype)
            penalty = slope_penalty(judge, mix * batch + (1 - mix) * still)
            total, metrics["gradient_penalty"] = total + self.gradient_penalty * penalty, penalty
        return total, metrics


def slope_penalty(judge: Callable[[Array], Scalar], places: Array) -> Scalar:
    """E (‖∇D‖ − 1)² over places."""
    slopes = jax.vmap(jax.grad(judge))(places)
    squares = jnp.sum(slopes**2, axis=tuple(range(1, places.ndim)))
    # The root has no slope at 0, where a critic that is still constant has its gradient.
    norms = jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1.0)), 0.0)
    return jnp.mean((norms - 1) ** 2)


GAMES: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array], Callable[[Array], Array]]] = {
    "non-saturating": (lambda d: jax.nn.softplus(-d), jax.nn.softplus, lambda d: jax.nn.softplus(-d)),
    "hinge": (lambda d: jax.nn.relu(1 - d), lambda d: jax.nn.relu(1 + d), jnp.negative),
    "wasserstein": (jnp.negative, lambda d: d, jnp.negative),
}
"""What the critic descends on data and on draws, and what the generator descends, for each game."""


class CriticEnergy(AbstractEnergy):
    """Discriminator-driven latent sampling: U(z) = ½ ‖z‖² − D(G(z)), an energy over the latent of a generator.

    For D = log p_data/q with q the law of G(z), the critic of a `non-saturating` game at its best, draws z of U decode
    to the law of the data, wherever G reaches. Sample it with any kernel that has a score, and decode.

    Cost: one generator and one critic.

    Args:
        generator: G, a generator whose latent is N(0, I).
        critic: D.

    Example:
        >>> import jax
        >>> from energax import generative
        >>> model = generative.PushForward(2, latent_dim=3, hidden=(8,), key=jax.random.key(0))
        >>> energy = generative.CriticEnergy(model, generative.critic((2,), key=jax.random.key(1)))
        >>> energy(jax.numpy.zeros(3)).shape
        ()

    References:
        [che2020]
    """

    generator: PushForward
    critic: Any

    @property
    def space(self) -> Euclidean:
        return Euclidean(self.generator.latent_dim, initial_scale=1.0)

    def __call__(self, x: Float[Array, " k"]) -> Scalar:
        return 0.5 * jnp.sum(x**2) - self.critic(self.generator.decode(x))


@is_confined.register
def _(energy: CriticEnergy) -> bool | None:
    """Unknown: a critic that grows faster than ½ ‖z‖² along some direction leaves no law."""
    del energy
    return None


def _unmoved(module: Any) -> Any:
    return jax.tree.map(lambda leaf: jax.lax.stop_gradient(leaf) if eqx.is_array(leaf) else leaf, module)
