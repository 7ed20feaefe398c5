"""Calibration of a posterior: an encoder is pulled after latents that the model's own joint energy has moved."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax._errors import KernelMismatch
from energax._typing import PRNGKey, Scalar
from energax.generative import ELBO, VAE
from energax.objectives import AbstractObjective, AbstractStatelessObjective, Metrics, apart, frozen, normal_apart
from energax.spaces import Euclidean
from energax.systems.calibration._constraint import AbstractConstraint
from energax.systems.calibration._refinement import Refinement


class PosteriorCalibration(AbstractObjective, AbstractConstraint):
    """The loss of a VAE under the constraint that its encoder keeps up with latents refined by the model itself.

    A latent z₀ = m(x) + s(x) ε of the encoder is moved by K Langevin steps of the joint energy −log p(x, z), in ε, so
    that their size is in units of the encoder's own variance: z ← z + h s² ∇_z log p(x, z) + √(2h) s ξ. The moved z_K
    is held fixed, and

        minimise the VAE's own loss   subject to   r = 1 + (2/D) E[log q(z₀|x) − log q(z_K|x)] ≤ slack,

    where r = E ‖(z_K − m)/s‖²/D is the spread of refined latents in units of the encoder's, for each of the D numbers:
    1 if they have the law of q. The Lagrangian adds λ ½ D (r − 1), in nats, whose gradient is −λ ∇E log q(z_K|x): q is
    fitted to the refined law, by the forward divergence. The squared move ‖z_K − z₀‖² in its place would only say where
    q is to be, and let s shrink, since the noise of the steps has nothing to do with ε. The bound by itself makes q too
    narrow where latents depend on each other or have several modes; there r > 1, and λ rises (`AbstractConstraint`).
    Where q is too wide, r < 1, the bound is left to narrow it.

    The decoder is the other half of the energy. It learns from the refined latents, by −log p(x|z_K), which has the
    gradient of −log p(x) as far as they have the law of the posterior; `refined_decoder=False` leaves it to the VAE's
    own loss. λ is the state of the objective, so that `training.Learner` and `fit` do the rest, and
    ``systems.calibrate(vae, rows, objective=PosteriorCalibration())`` calibrates draws and posterior at once.

    Exactness: for a posterior N(μ, σ²) the encoder that the constraint alone asks for has the mean μ and the variance
    σ² (1 − √(1 − 2h))/h = σ² (1 + h/2 + O(h²)), for every K. With dependent latents it has the variances of the exact
    marginals, up to O(h), as K h grows. Elsewhere it is as biased as K steps from q are.

    Cost: K + 1 gradients of the decoder by z for each row, beside the own loss.

    Args:
        refinement: K, and h in units of the encoder's variance, below 2 over the largest curvature of the posterior in
            ε, which is about 1 where q fits; its temperature is 1 and there is no tether, or the law is another.
        objective: The VAE's own loss, such as `generative.ELBO` or `generative.MaximumLikelihood`.
        refined_decoder: Whether the decoder learns from refined latents.

    Raises:
        KernelMismatch: The model is no VAE.

    Example:
        >>> import jax, numpy as np
        >>> from energax import generative, systems, training
        >>> vae = generative.VAE(2, latent_dim=1, hidden=(4,), key=jax.random.key(0))
        >>> rows = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
        >>> learner = training.Learner(vae, systems.PosteriorCalibration())
        >>> run = training.fit(learner, rows, key=jax.random.key(1), num_steps=2, batch_size=32)
        >>> "latents_over_noise" in run.history[-1]
        True

    References:
        [luo2024], [kingma2014]
    """

    refinement: Refinement = Refinement(num_steps=5, step_size=0.1, temperature=1.0, tether=0.0)
    objective: AbstractStatelessObjective = ELBO()
    refined_decoder: bool = eqx.field(static=True, default=True)

    def check(self, energy: Any) -> None:
        if not isinstance(energy, VAE):
            raise KernelMismatch(f"PosteriorCalibration trains a VAE, got {type(energy).__name__}.")
        self.objective.check(energy)  # pyright: ignore[reportArgumentType]

    def init(self, energy: Any, batch: Array, *, key: PRNGKey) -> Scalar:
        del energy, batch, key
        return jnp.asarray(self.multiplier, jnp.float32)

    def loss(self, energy: Any, batch: Array, state: Scalar, *, key: PRNGKey) -> tuple[Scalar, tuple[Scalar, Metrics]]:
        own_key, key = jax.random.split(key)
        starts, ends, refused = self.refine(energy, batch, key=key)
        before, after = (jnp.mean(jax.vmap(energy.log_encoder)(batch, z)) for z in (starts, ends))
        excess = jax.lax.stop_gradient(before) - after
        ratio = jax.lax.stop_gradient(1 + 2 * excess / energy.latent_dim)
        own = energy
        if self.refined_decoder:
            own = eqx.tree_at(lambda m: m.encoder, frozen(energy), energy.encoder)
        loss, metrics = self.objective.measure(own, batch, key=own_key)
        if self.refined_decoder:
            missed = -jnp.mean(jax.vmap(energy.log_decoder)(batch, ends))
            loss, metrics = loss + missed, {**metrics, "refined_reconstruction": missed}
        metrics |= {"latents_over_noise": ratio, "latent_multiplier": state, "latents_refused": refused}
        return loss + state * excess, (self.dual_step(state, ratio, jnp.ones(())), metrics)

    def refine(
        self, vae: Any, batch: Array, *, key: PRNGKey
    ) -> tuple[Float[Array, "row k"], Float[Array, "row k"], Scalar]:
        """Latents of rows before and after K steps, without gradients, and the share of steps that were refused.

        Args:
            vae: A `VAE`: encoder and joint energy.
            batch: Rows, (row, *event).
            key: Random key.
        """
        still, space = frozen(vae), Euclidean(vae.latent_dim)
        of_noise, of_steps = jax.random.split(key)
        noise = normal_apart((len(batch), vae.latent_dim), jnp.result_type(float), key=of_noise)

        def of_row(x: Array, eps: Array, k: PRNGKey) -> tuple[Array, Array, Scalar]:
            mean, log_std = still.posterior(x)

            def energy(eps: Array) -> Scalar:
                z = mean + jnp.exp(log_std) * eps
                return 0.5 * jnp.sum(z**2) - still.log_decoder(x, z)

            moved, refused = self.refinement.chain(energy, eps, space, key=k)
            return mean + jnp.exp(log_std) * eps, mean + jnp.exp(log_std) * moved, refused

        starts, ends, refused = jax.vmap(of_row)(batch, noise, jax.random.split(apart(of_steps), len(batch)))
        return starts, ends, jnp.mean(refused)
