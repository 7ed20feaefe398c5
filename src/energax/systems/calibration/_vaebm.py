"""VAEBM: an energy on top of an autoencoder, which keeps its chains when it draws."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax._errors import ArgumentError, KernelMismatch, NotTractable
from energax._typing import PRNGKey, Scalar
from energax.densities import AbstractGenerator, LikelihoodKind
from energax.energies import AbstractEnergy
from energax.generative import VAE
from energax.kernels import MALA, AbstractKernel
from energax.objectives import AbstractStatelessObjective, Metrics, apart, frozen
from energax.spaces import Euclidean


class JointEnergy(AbstractEnergy):
    """The law p(x) ∝ p_VAE(x) exp(−E(x)), over the noise (z, ε) that x = G(z) + σ ε is made of.

    U(z, ε) = ½ ‖z‖² + ½ ‖ε‖² + E(G(z) + σ ε). The latent and the data move together, in coordinates that are normal
    and of one scale where E is flat, so that chains mix where those in x would not.

    Args:
        vae: An autoencoder of real numbers.
        energy: E, any pytree that maps a configuration to a number.
    """

    vae: VAE
    energy: Any

    @property
    def space(self) -> Euclidean:
        return Euclidean(self.vae.latent_dim + self.vae.space.num_sites, initial_scale=1.0)

    def configuration(self, u: Float[Array, " n"]) -> Array:
        """X of the noise u = (z, ε)."""
        z, eps = u[: self.vae.latent_dim], u[self.vae.latent_dim :]
        mean = self.vae.decode(z)
        assert self.vae.log_scale is not None
        return mean + jnp.exp(self.vae.log_scale) * eps.reshape(mean.shape)

    def __call__(self, x: Float[Array, " n"]) -> Scalar:
        return 0.5 * jnp.sum(x**2) + self.energy(self.configuration(x))


class VAEBM(AbstractGenerator):
    """p(x) ∝ p_VAE(x) exp(−E(x)): an autoencoder that covers the data, and an energy that takes out what does not fit.

    Beside a calibrated autoencoder (`Calibrated`) it needs chains when it draws: K transitions in the space of the
    noise (`JointEnergy`) from a draw of the autoencoder. Train E by `VAEBMLikelihood`; the autoencoder stays.

    Exactness: a draw follows the law as chains of K transitions reach it.

    Cost: of a draw K gradients of decoder and energy.

    Args:
        vae: A trained autoencoder of real numbers.
        energy: E.
        num_steps: K.
        kernel: A kernel over real numbers; `MALA(0.05)` if None.

    Raises:
        ArgumentError: The autoencoder makes 0/1 data, or K is below 1.

    Example:
        >>> import jax
        >>> from energax import generative, systems
        >>> vae = generative.VAE(2, latent_dim=1, hidden=(4,), key=jax.random.key(0))
        >>> model = systems.VAEBM(vae, generative.critic((2,), hidden=(4,), key=jax.random.key(1)), num_steps=3)
        >>> model.draw(key=jax.random.key(2)).shape, model.draw_evaluations
        ((2,), 3)

    References:
        [xiao2021]
    """

    vae: VAE
    energy: Any
    num_steps: int = eqx.field(static=True)
    kernel: AbstractKernel

    def __init__(self, vae: VAE, energy: Any, *, num_steps: int = 20, kernel: AbstractKernel | None = None) -> None:
        if not isinstance(vae, VAE) or vae.log_scale is None or num_steps < 1:
            raise ArgumentError(
                f"VAEBM needs a VAE of real numbers and num_steps >= 1, got {type(vae).__name__} and {num_steps}."
            )
        self.vae = vae
        self.energy = energy
        self.num_steps = num_steps
        self.kernel = MALA(0.05) if kernel is None else kernel

    @property
    def space(self) -> Euclidean:
        assert isinstance(self.vae.space, Euclidean)
        return self.vae.space

    @property
    def likelihood(self) -> LikelihoodKind:
        return "none"

    @property
    def draw_evaluations(self) -> int:
        return self.num_steps

    @property
    def joint(self) -> JointEnergy:
        """The energy over the noise, for any sampler, and for log Z: that of E under the autoencoder."""
        return JointEnergy(self.vae, self.energy)

    def draw(self, *, key: PRNGKey) -> Array:
        start_key, init_key, walk_key = jax.random.split(key, 3)
        joint = self.joint
        start = jax.random.normal(start_key, joint.space.shape)

        def step(state: Any, k: PRNGKey) -> tuple[Any, None]:
            return self.kernel.step(joint, state, key=k)[0], None

        state = self.kernel.init(joint, start, key=init_key)
        return joint.configuration(jax.lax.scan(step, state, jax.random.split(walk_key, self.num_steps))[0].x)

    def log_likelihood(self, x: Array, *, key: PRNGKey) -> Scalar:
        del x, key
        raise NotTractable("A VAEBM knows its likelihood up to log Z; evaluation.log_z estimates that of `joint`.")


class VAEBMLikelihood(AbstractStatelessObjective):
    """The likelihood gradient of the energy of a `VAEBM`: E_data[E] − E_draws[E] + α (E_data[E²] + E_draws[E²]).

    Nothing of it reaches the autoencoder.

    Exactness: biased as far as K transitions from the autoencoder's draws are from equilibrium; α shrinks the energy.

    Cost: a draw of the model for each row.

    Args:
        energy_l2: α ≥ 0.

    Raises:
        ArgumentError: α is negative.

    References:
        [xiao2021]
    """

    energy_l2: float = eqx.field(static=True, default=0.01)

    def __check_init__(self) -> None:
        if self.energy_l2 < 0:
            raise ArgumentError(f"VAEBMLikelihood needs energy_l2 >= 0, got {self.energy_l2}.")

    def check(self, energy: Any) -> None:
        if not isinstance(energy, VAEBM):
            raise KernelMismatch(f"VAEBMLikelihood trains a VAEBM, got {type(energy).__name__}.")

    def measure(self, energy: VAEBM, batch: Array, *, key: PRNGKey) -> tuple[Scalar, Metrics]:
        still: Any = frozen(energy)  # pyright: ignore[reportArgumentType]
        drawn = jax.vmap(lambda k: still.draw(key=k))(jax.random.split(apart(key), len(batch)))
        drawn = jax.lax.stop_gradient(drawn)
        at_data, at_draws = jax.vmap(energy.energy)(batch.astype(drawn.dtype)), jax.vmap(energy.energy)(drawn)
        low, high = jnp.mean(at_data), jnp.mean(at_draws)
        size = jnp.mean(at_data**2) + jnp.mean(at_draws**2)
        metrics = {"energy_data": low, "energy_model": high, "energy_gap": high - low}
        return low - high + self.energy_l2 * size, metrics
