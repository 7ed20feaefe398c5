"""The generators that the command line knows by name: how each is built, what trains it, and its learner."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import optax

from energax import energies, generative, objectives, systems
from energax._errors import ArgumentError
from energax._typing import PRNGKey
from energax.data import Data
from energax.runs._configs import TrainingConfig
from energax.runs._entry import Entry
from energax.spaces import Binary, Euclidean
from energax.training import AbstractLearner, Learner

_FEW_COLUMNS = 2
_MOST_LATENTS = 32


@dataclasses.dataclass(frozen=True)
class VAEConfig:
    """Options of the variational autoencoder."""

    latent: int = 2
    """Length of the latent vector; chosen to fit the data where it is not given."""
    hidden: int = 256
    """Width of each hidden layer of encoder and decoder."""
    layers: int = 2
    """Number of hidden layers of each."""


@dataclasses.dataclass(frozen=True)
class ECVAEConfig:
    """Options of the energy-calibrated variational autoencoder."""

    latent: int = 2
    """Length of the latent vector; chosen to fit the data where it is not given."""
    hidden: int = 256
    """Width of each hidden layer of encoder, decoder and energy."""
    layers: int = 2
    """Number of hidden layers of each."""
    decoder_noise: bool = False
    """Whether draws have the decoder's noise, in training too; by default those of images do not, all others do."""


@dataclasses.dataclass(frozen=True)
class ELBOConfig:
    """Options of the evidence lower bound."""

    beta: float = 1.0
    """Weight of the divergence of the latents from their prior; 1 is a bound of the likelihood."""


@dataclasses.dataclass(frozen=True)
class CalibrationConfig:
    """Options of the energy calibration."""

    beta: float = 1.0
    """Weight of the divergence of the latents from their prior; 1 is a bound of the likelihood."""
    pretrain: float = 0.5
    """Share of the updates that train the autoencoder alone, before the calibration begins."""
    move_steps: int = 5
    """Langevin steps that move a draw towards the data."""
    move_noise: float = 0.05
    """Noise of all these steps together, in standard deviations of the data."""
    temperature: float = 4e-3
    """Temperature of the energy in these steps, times the root of the number of entries; a lower one moves further."""
    tether: float = 1.0
    """Share of the way that a tether to the draw takes back, in e-folds over all steps; 0 cuts it."""
    distance: str = "squared"
    """Between a draw and its moved copy: squared, or ssim for images."""
    slack: float = 1.1
    """How many times the distance that noise alone makes is allowed."""
    multiplier: float = 1.0
    """Weight of the constraint when the calibration begins; it then adapts."""
    max_multiplier: float | None = None
    """The largest weight; one for every 25 entries of a row, and at least 1, if none is given."""
    dual_rate: float = 0.01
    """How fast the weight adapts."""
    critic_rate: float = 1e-3
    """Learning rate of the energy."""
    critic_l2: float = 0.1
    """Weight of the squared energies, which keeps them of order 1."""


def _build_vae(config: VAEConfig, data: Data, *, key: PRNGKey) -> generative.VAE:
    _check("vae", config.latent, config.hidden, config.layers)
    if not isinstance(data.space, Binary | Euclidean):
        raise ArgumentError(f"vae describes 0/1 data and real numbers, but {data.name} lives on {data.space}.")
    return generative.VAE(
        data.space,
        latent_dim=config.latent,
        hidden=(config.hidden,) * config.layers,
        scale=0.5 * (1.0 if isinstance(data.space, Binary) else systems.spread(data.train)),
        key=key,
    )


def _build_ec_vae(config: ECVAEConfig, data: Data, *, key: PRNGKey) -> systems.Calibrated:
    _check("ec-vae", config.latent, config.hidden, config.layers)
    of_vae, of_rest = jax.random.split(key)
    vae = _build_vae(VAEConfig(config.latent, config.hidden, config.layers), data, key=of_vae)
    energy = calibrating_energy(data, (config.hidden,) * config.layers, key=of_rest)
    return systems.Calibrated(vae, energy, noise=config.decoder_noise)


def calibrating_energy(data: Data, hidden: tuple[int, ...], *, key: PRNGKey) -> energies.MLP:
    """The network that moves draws towards the data; of the plane it sees waves, which resolve more."""
    of_energy, of_waves = jax.random.split(key)
    waves = None
    if data.space.num_sites <= _FEW_COLUMNS:
        size = systems.spread(data.train)
        waves = energies.FourierFeatures(
            data.space.num_sites,
            num_features=64,
            frequency=3.0,
            mean=np.zeros(()),
            scale=np.asarray(size),
            key=of_waves,
        )
    return energies.MLP(data.space, hidden=hidden, confinement=None, features=waves, key=of_energy)


def _build_elbo(config: ELBOConfig, data: Data) -> generative.ELBO:
    del data
    return generative.ELBO(config.beta)


def _build_calibration(config: CalibrationConfig, data: Data) -> systems.Calibration:
    """All of the calibration but its beginning, which is a share of the updates of a run."""
    if not 0 <= config.pretrain <= 1:
        raise ArgumentError(f"--pretrain is a share of the updates, from 0 to 1, got {config.pretrain}.")
    if not config.critic_rate > 0:
        raise ArgumentError(f"--critic-rate must be positive, got {config.critic_rate}.")
    return systems.Calibration.scaled(
        systems.spread(data.train),
        data.space.num_sites,
        num_steps=config.move_steps,
        noise=config.move_noise,
        temperature=config.temperature,
        tether=config.tether,
        distance=_distance(config.distance, data),
        slack=config.slack,
        multiplier=config.multiplier,
        dual_rate=config.dual_rate,
        max_multiplier=config.max_multiplier,
        energy_l2=config.critic_l2,
    )


def _distance(name: str, data: Data) -> systems.AbstractDistance:
    if name == "squared":
        return systems.SquaredError()
    if name != "ssim":
        raise ArgumentError(f"--distance is one of squared, ssim, got {name!r}.")
    if data.image_shape is None or min(data.image_shape[:2]) < 7:
        raise ArgumentError(f"--distance ssim compares images of at least 7 × 7 pixels, and {data.name} has none.")
    rows = np.asarray(data.train.take(np.arange(min(1000, len(data.train)))))
    return systems.StructuralDissimilarity(data.image_shape, float(rows.max() - rows.min()))


def _check(name: str, latent: int, hidden: int, layers: int) -> None:
    if latent < 1 or hidden < 1 or not 0 <= layers <= 100:
        raise ArgumentError(
            f"{name} needs --latent and --hidden of at least 1 and 0 to 100 --layers, got {latent}, {hidden}, {layers}."
        )


def latent_dim(data: Data) -> int:
    """Length of a latent vector where nothing is said of it: a quarter of the columns, from 2 to 32."""
    return int(np.clip(data.space.num_sites // 4, 2, _MOST_LATENTS))


def options_for(name: str, data: Data) -> dict[str, Any]:
    """What a generator is when the user says nothing of it."""
    return {"latent": latent_dim(data), **({"decoder_noise": data.image_shape is None} if name == "ec-vae" else {})}


def build_learner(
    model: Any,
    objective: Mapping[str, Any],
    made: Any,
    training: TrainingConfig,
    optimizer: optax.GradientTransformation,
) -> AbstractLearner:
    """What trains a generator.

    Args:
        model: The generator before training.
        objective: The configuration of what trains it.
        made: What its entry builds.
        training: The configuration of the training.
        optimizer: Of the generator.

    Raises:
        ArgumentError: An option of the training belongs to energies.
    """
    _require_plain(training)
    average = training.ema_decay or None
    if isinstance(made, systems.Calibration):
        begins = dataclasses.replace(made, pretrain=round(objective["pretrain"] * training.num_steps))
        loss = _noisy(generative.ELBO(objective["beta"]), training)
        # The energy plays a game, which momentum makes go round.
        critic = optax.adam(objective["critic_rate"], b1=0.0, b2=0.9)
        return systems.CalibrationLearner(
            model, loss, begins, optimizer=optimizer, energy_optimizer=critic, ema_decay=average
        )
    return Learner(model, _noisy(made, training), optimizer=optimizer, ema_decay=average)


def _noisy(objective: objectives.AbstractObjective, training: TrainingConfig) -> objectives.AbstractObjective:
    return objectives.DataNoise(objective, training.data_noise) if training.data_noise else objective


def _require_plain(training: TrainingConfig) -> None:
    for name in ("energy_l2", "gradient_penalty", "spectral_penalty", "watch"):
        if getattr(training, name):
            raise ArgumentError(f"--{name.replace('_', '-')} belongs to the training of energies, not of generators.")


GENERATORS: dict[str, Entry[Any]] = {
    entry.name: entry
    for entry in (
        Entry("vae", generative.VAE, VAEConfig, _build_vae, "variational autoencoder", None),
        Entry(
            "ec-vae",
            systems.Calibrated,
            ECVAEConfig,
            _build_ec_vae,
            "variational autoencoder whose draws an energy has calibrated",
            "continuous",
        ),
    )
}
GENERATIVE_OBJECTIVES: dict[str, Entry[Any]] = {
    entry.name: entry
    for entry in (
        Entry("elbo", generative.ELBO, ELBOConfig, _build_elbo, "the evidence lower bound of an autoencoder"),
        Entry(
            "energy-calibration",
            systems.Calibration,
            CalibrationConfig,
            _build_calibration,
            "the same bound, with draws pulled after copies that an energy moved towards the data",
        ),
    )
}
