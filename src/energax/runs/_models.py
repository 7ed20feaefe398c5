"""The models to train that the command line knows by name."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from energax import energies
from energax._errors import ArgumentError
from energax._typing import PRNGKey
from energax.data import Data
from energax.runs._entry import Entry
from energax.spaces import Euclidean

_MOST_LAYERS = 100


@dataclasses.dataclass(frozen=True)
class RBMConfig:
    """Options of the restricted Boltzmann machine."""

    hidden: int = 128
    """Number of hidden units."""


@dataclasses.dataclass(frozen=True)
class GaussianRBMConfig:
    """Options of the restricted Boltzmann machine with real visible units."""

    hidden: int = 128
    """Number of hidden units."""
    variance: str = "learned"
    """"learned": a variance for each column, that of the data at first; "fixed": they stay those of the data."""


@dataclasses.dataclass(frozen=True)
class MLPConfig:
    """Options of the fully connected network."""

    hidden: int = 128
    """Width of each hidden layer."""
    layers: int = 2
    """Number of hidden layers."""
    activation: str = "silu"
    """silu, tanh, softplus, elu or relu."""
    features: int = 0
    """Waves of the coordinates that the network sees beside them; 64 where there are at most two columns."""
    frequency: float = 3.0
    """Typical frequency of the waves, in radians for each standard deviation of the data."""


@dataclasses.dataclass(frozen=True)
class NoiseMLPConfig:
    """Options of the fully connected network of all noise levels."""

    hidden: int = 128
    """Width of each hidden layer."""
    layers: int = 2
    """Number of hidden layers."""
    activation: str = "silu"
    """silu, tanh, softplus, elu or relu."""
    level: float = 0.1
    """Noise level, in the model's units, at which the model is used once it is trained."""


@dataclasses.dataclass(frozen=True)
class ConvNetConfig:
    """Options of the convolutional network."""

    hidden: int = 32
    """Channels of the first layer; the deeper ones have twice as many."""
    layers: int = 3
    """Number of convolutional layers."""


def _build_rbm(config: RBMConfig, data: Data, *, key: PRNGKey) -> energies.AbstractEnergy:
    mean = jnp.asarray(visible_mean(data))
    return energies.RBM(data.space.num_sites, config.hidden, visible_mean=mean, key=key)


def visible_mean(data: Data) -> np.ndarray:
    """Mean of every site over the first rows of the training set."""
    return np.asarray(data.train.take(_first_rows(data))).reshape(-1, data.space.num_sites).mean(0)


def _build_gaussian_rbm(config: GaussianRBMConfig, data: Data, *, key: PRNGKey) -> energies.AbstractEnergy:
    if config.variance not in ("learned", "fixed"):
        raise ArgumentError(f'gaussian-rbm knows --variance "learned" and "fixed", got {config.variance!r}.')
    rows = np.asarray(data.train.take(_first_rows(data)), np.float64)
    variance = rows.var(axis=0)
    # A column that never varies would have a law without width.
    variance = np.maximum(variance, 1e-2 * max(float(variance.mean()), 1e-6))
    return energies.GaussianRBM(
        rows.shape[1],
        config.hidden,
        scale=0.1,
        visible_mean=jnp.asarray(rows.mean(axis=0), jnp.float32),
        variance=jnp.asarray(variance, jnp.float32),
        learn_variance=config.variance == "learned",
        initial_scale=float(np.sqrt(variance.max())),
        key=key,
    )


def _build_mlp(config: MLPConfig, data: Data, *, key: PRNGKey) -> energies.AbstractEnergy:
    _check_layers("mlp", config.hidden, config.layers)
    confinement, features = _confinement(data), None
    if config.features:
        features = energies.FourierFeatures(
            data.space.num_sites,
            num_features=config.features,
            frequency=config.frequency,
            mean=confinement.mean,
            scale=confinement.scale / 2,
            key=jax.random.fold_in(key, 1),
        )
    return energies.MLP(
        data.space,
        hidden=(config.hidden,) * config.layers,
        activation=config.activation,
        confinement=confinement,
        features=features,
        key=key,
    )


def _build_noise_mlp(config: NoiseMLPConfig, data: Data, *, key: PRNGKey) -> energies.AbstractEnergy:
    _check_layers("noise-mlp", config.hidden, config.layers)
    if not config.level > 0:
        raise ArgumentError(f"noise-mlp needs --level > 0, got {config.level}.")
    if not isinstance(data.space, Euclidean):
        raise ArgumentError(f"noise-mlp adds noise to real numbers, but {data.name} lives on {data.space}.")
    hidden = (config.hidden,) * config.layers
    scale = _confinement(data).scale / 2
    family = energies.NoiseConditionalMLP(data.space, hidden=hidden, activation=config.activation, scale=scale, key=key)
    return energies.AtLevel(family, config.level)


def _build_conv(config: ConvNetConfig, data: Data, *, key: PRNGKey) -> energies.AbstractEnergy:
    if data.image_shape is None:
        raise ArgumentError(f"conv is a model of images, but {data.name} holds rows of shape {data.space.shape}.")
    _check_layers("conv", config.hidden, config.layers)
    channels = (config.hidden, *[2 * config.hidden] * (config.layers - 1))
    return energies.ConvNet(data.space, channels=channels, confinement=_confinement(data), key=key)


def _check_layers(name: str, hidden: int, layers: int) -> None:
    if hidden < 1 or not 1 <= layers <= _MOST_LAYERS:
        raise ArgumentError(
            f"{name} needs --hidden of at least 1 and 1 to {_MOST_LAYERS} --layers, got {hidden} and {layers}."
        )


def _confinement(data: Data) -> energies.Confinement:
    """A normal base measure twice as wide as the data, about their mean."""
    rows = np.asarray(data.train.take(_first_rows(data)), np.float64)
    scale = 2 * float(np.sqrt(rows.var(axis=0).mean()))
    return energies.Confinement(jnp.asarray(rows.mean(axis=0), jnp.float32), jnp.asarray(scale, jnp.float32))


def _first_rows(data: Data) -> np.ndarray:
    return np.linspace(0, len(data.train) - 1, min(len(data.train), 10_000)).astype(np.int64)


MODELS: dict[str, Entry[Any]] = {
    entry.name: entry
    for entry in (
        Entry("rbm", energies.RBM, RBMConfig, _build_rbm, "restricted Boltzmann machine", "binary"),
        Entry("mlp", energies.MLP, MLPConfig, _build_mlp, "fully connected network", "continuous"),
        Entry("conv", energies.ConvNet, ConvNetConfig, _build_conv, "convolutional network for images", "continuous"),
        Entry(
            "gaussian-rbm",
            energies.GaussianRBM,
            GaussianRBMConfig,
            _build_gaussian_rbm,
            "restricted Boltzmann machine with real visible units",
            "continuous",
        ),
        Entry(
            "noise-mlp",
            energies.AtLevel,
            NoiseMLPConfig,
            _build_noise_mlp,
            "fully connected network of all noise levels, used at the least of them",
            "continuous",
        ),
    )
}
