"""THE registry: every name of the command line, with its class, its typed options and how it is built."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from energax import energies, kernels, objectives
from energax._errors import ArgumentError, nearest
from energax._typing import PRNGKey
from energax.data import Data
from energax.runs._configs import TrainingConfig, typed

C = TypeVar("C")
_MOST_LAYERS = 100


@dataclasses.dataclass(frozen=True)
class Entry(Generic[C]):
    """One name of the command line.

    Attributes:
        name: What a user types.
        cls: The class of the library behind it.
        config: Dataclass of its options; every field has a default and a docstring below it.
        build: Makes the object.
        summary: One line for help texts and docs.
        domain: For models: the data that they describe, ``"binary"`` or ``"continuous"``.
    """

    name: str
    cls: type
    config: type[C]
    build: Callable[..., Any]
    summary: str
    domain: str | None = None


# -- kernels ---------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """Nothing to set."""


@dataclasses.dataclass(frozen=True)
class HeatBathConfig:
    """Options of heat bath."""

    scan: str = "sweep"
    """"sweep": all sites in order; "random": one site at random."""


@dataclasses.dataclass(frozen=True)
class MetropolisConfig:
    """Options of Metropolis for discrete sites."""

    scan: str = "sweep"
    """"sweep": all sites in order; "random": one site at random; "blocks": whole blocks at once."""


@dataclasses.dataclass(frozen=True)
class GibbsWithGradientsConfig:
    """Options of Gibbs with gradients."""

    differences: str = "exact"
    """"exact": what each change does to the energy; "gradient": estimated by the tangent (two-valued sites)."""


@dataclasses.dataclass(frozen=True)
class DiscreteLangevinConfig:
    """Options of discrete Langevin kernels."""

    step_size: float = 0.2
    """Step size to begin with; that of dmala is adapted to its best acceptance while training."""
    differences: str = "exact"
    """"exact": what each change does to the energy; "gradient": estimated by the tangent (two-valued sites)."""


@dataclasses.dataclass(frozen=True)
class ACSConfig:
    """Options of automatic cyclical sampling."""

    largest: float = 5.0
    """Step size of the first move of a cycle."""
    smallest: float = 0.2
    """Step size of the last move."""
    num_moves: int = 8
    """Moves of a cycle."""
    differences: str = "exact"
    """"exact": what each change does to the energy; "gradient": estimated by the tangent (two-valued sites)."""


@dataclasses.dataclass(frozen=True)
class StepSizeConfig:
    """Options of kernels with a step size."""

    step_size: float = 0.05
    """Step size to begin with; an exact kernel adapts it to its best acceptance while training."""


@dataclasses.dataclass(frozen=True)
class HMCConfig:
    """Options of Hamiltonian Monte Carlo."""

    step_size: float = 0.1
    """Time step to begin with; it is adapted to the kernel's best acceptance while training."""
    num_leapfrog: int = 5
    """Leapfrog steps in each transition."""


@dataclasses.dataclass(frozen=True)
class UnderdampedConfig:
    """Options of underdamped Langevin dynamics."""

    step_size: float = 0.1
    """Time step."""
    friction: float = 1.0
    """Rate at which the momentum is forgotten."""
    scheme: str = "baoab"
    """"baoab" or "obabo"."""


@dataclasses.dataclass(frozen=True)
class NUTSConfig:
    """Options of the no-U-turn sampler."""

    step_size: float = 0.1
    """Time step to begin with; it is adapted to the kernel's best acceptance while training."""
    max_doublings: int = 5
    """Largest number of times that a trajectory doubles."""


@dataclasses.dataclass(frozen=True)
class MCLMCConfig:
    """Options of microcanonical Langevin dynamics."""

    step_size: float = 0.2
    """Length of one step."""
    decoherence: float = 2.0
    """Length over which the direction is forgotten."""


@dataclasses.dataclass(frozen=True)
class AdjustedMCLMCConfig:
    """Options of adjusted microcanonical trajectories."""

    step_size: float = 0.2
    """Length of one step to begin with; it is adapted to the kernel's best acceptance while training."""
    trajectory_length: float = 1.0
    """Mean length of a trajectory."""


KERNELS: dict[str, Entry[Any]] = {
    entry.name: entry
    for entry in (
        Entry(
            "block-gibbs",
            kernels.BlockGibbs,
            NoOptions,
            lambda c: kernels.BlockGibbs(),
            "all hidden, then all visible units",
        ),
        Entry(
            "swendsen-wang",
            kernels.SwendsenWang,
            NoOptions,
            lambda c: kernels.SwendsenWang(),
            "clusters of a lattice or graph drawn anew, all at once",
        ),
        Entry("wolff", kernels.Wolff, NoOptions, lambda c: kernels.Wolff(), "one cluster of a lattice or graph turned"),
        Entry(
            "heat-bath",
            kernels.HeatBath,
            HeatBathConfig,
            lambda c: kernels.HeatBath(c.scan),
            "one site after the other",
        ),
        Entry(
            "gibbs-with-gradients",
            kernels.GibbsWithGradients,
            GibbsWithGradientsConfig,
            lambda c: kernels.GibbsWithGradients(c.differences),
            "single changes, chosen by what they do to the energy",
        ),
        Entry(
            "dmala",
            kernels.DMALA,
            DiscreteLangevinConfig,
            lambda c: kernels.DMALA(c.step_size, c.differences),
            "Metropolis-adjusted discrete Langevin: all sites at once",
        ),
        Entry(
            "acs",
            kernels.ACS,
            ACSConfig,
            lambda c: kernels.ACS(kernels.cosine(c.largest, c.smallest, c.num_moves), differences=c.differences),
            "cycles of discrete Langevin moves, from large steps to small ones",
        ),
        Entry(
            "dula",
            kernels.DULA,
            DiscreteLangevinConfig,
            lambda c: kernels.DULA(c.step_size, c.differences),
            "unadjusted discrete Langevin, biased",
        ),
        Entry(
            "metropolis",
            kernels.Metropolis,
            MetropolisConfig,
            lambda c: kernels.Metropolis(c.scan),
            "another value for one site after the other",
        ),
        Entry(
            "mala", kernels.MALA, StepSizeConfig, lambda c: kernels.MALA(c.step_size), "Metropolis-adjusted Langevin"
        ),
        Entry("ula", kernels.ULA, StepSizeConfig, lambda c: kernels.ULA(c.step_size), "unadjusted Langevin, biased"),
        Entry(
            "hmc", kernels.HMC, HMCConfig, lambda c: kernels.HMC(c.step_size, c.num_leapfrog), "Hamiltonian Monte Carlo"
        ),
        Entry(
            "underdamped",
            kernels.UnderdampedLangevin,
            UnderdampedConfig,
            lambda c: kernels.UnderdampedLangevin(c.step_size, c.friction, c.scheme),
            "Langevin with momentum, biased",
        ),
        Entry(
            "nuts",
            kernels.NUTS,
            NUTSConfig,
            lambda c: kernels.NUTS(c.step_size, max_doublings=c.max_doublings),
            "no-U-turn sampler",
        ),
        Entry(
            "mclmc",
            kernels.MCLMC,
            MCLMCConfig,
            lambda c: kernels.MCLMC(c.step_size, c.decoherence),
            "microcanonical Langevin, biased",
        ),
        Entry(
            "adjusted-mclmc",
            kernels.AdjustedMCLMC,
            AdjustedMCLMCConfig,
            lambda c: kernels.AdjustedMCLMC(c.step_size, c.trajectory_length),
            "microcanonical trajectories, accepted by Metropolis-Hastings",
        ),
        Entry(
            "random-walk",
            kernels.RandomWalk,
            StepSizeConfig,
            lambda c: kernels.RandomWalk(c.step_size),
            "random-walk Metropolis",
        ),
    )
}

# -- models ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class RBMConfig:
    """Options of the restricted Boltzmann machine."""

    hidden: int = 128
    """Number of hidden units."""


@dataclasses.dataclass(frozen=True)
class MLPConfig:
    """Options of the fully connected network."""

    hidden: int = 128
    """Width of each hidden layer."""
    layers: int = 2
    """Number of hidden layers."""
    activation: str = "silu"
    """silu, tanh, softplus, elu or relu."""


@dataclasses.dataclass(frozen=True)
class ConvNetConfig:
    """Options of the convolutional network."""

    hidden: int = 32
    """Channels of the first layer; the deeper ones have twice as many."""
    layers: int = 3
    """Number of convolutional layers."""


def _build_rbm(config: RBMConfig, data: Data, *, key: PRNGKey) -> energies.AbstractEnergy:
    mean = np.asarray(data.train.take(_first_rows(data))).reshape(-1, data.space.num_sites).mean(0)
    return energies.RBM(data.space.num_sites, config.hidden, visible_mean=jnp.asarray(mean), key=key)


def _build_mlp(config: MLPConfig, data: Data, *, key: PRNGKey) -> energies.AbstractEnergy:
    _check_layers("mlp", config.hidden, config.layers)
    hidden = (config.hidden,) * config.layers
    return energies.MLP(
        data.space, hidden=hidden, activation=config.activation, confinement=_confinement(data), key=key
    )


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
    )
}

# -- objectives ------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class PersistentCDConfig:
    """Options of persistent contrastive divergence."""

    num_chains: int = 512
    """Chains that go on from update to update."""
    chain_steps: int = 1
    """Transitions of each chain at every update."""
    reservoir: int | None = None
    """Stored positions, of which `num-chains` move at each update; as many as chains by default."""
    restart: float = 0.0
    """Probability with which a chain is restarted at an update."""


@dataclasses.dataclass(frozen=True)
class CDConfig:
    """Options of contrastive divergence."""

    chain_steps: int = 1
    """Transitions from the data."""


@dataclasses.dataclass(frozen=True)
class DenoisingConfig:
    """Options of denoising score matching."""

    noise_scale: float = 0.2
    """Standard deviation of the noise, in the model's units: standardised data, 2-D sets as they are."""
    num_pairs: int = 2
    """Antithetic noise pairs for each row."""


def _build_pcd(config: PersistentCDConfig, kernel: kernels.AbstractKernel) -> objectives.AbstractObjective:
    return objectives.PersistentCD(
        kernel,
        config.num_chains,
        config.chain_steps,
        reservoir=config.reservoir,
        restart=config.restart,
        adapt_step_size=isinstance(kernel, kernels.AbstractStepSizeKernel) and kernel.exact,
    )


def _build_cd(config: CDConfig, kernel: kernels.AbstractKernel) -> objectives.AbstractObjective:
    return objectives.ContrastiveDivergence(kernel, config.chain_steps)


def _build_dsm(config: DenoisingConfig, kernel: kernels.AbstractKernel) -> objectives.AbstractObjective:
    del kernel
    return objectives.DenoisingScoreMatching(config.noise_scale, config.num_pairs)


OBJECTIVES: dict[str, Entry[Any]] = {
    entry.name: entry
    for entry in (
        Entry(
            "persistent-cd",
            objectives.PersistentCD,
            PersistentCDConfig,
            _build_pcd,
            "persistent contrastive divergence",
        ),
        Entry("cd", objectives.ContrastiveDivergence, CDConfig, _build_cd, "contrastive divergence, biased"),
        Entry(
            "denoising-score-matching",
            objectives.DenoisingScoreMatching,
            DenoisingConfig,
            _build_dsm,
            "no chains; learns the law of slightly noisy data",
        ),
    )
}

REGISTRIES: dict[str, dict[str, Entry[Any]]] = {"model": MODELS, "objective": OBJECTIVES, "kernel": KERNELS}


def entry(kind: str, name: str) -> Entry[Any]:
    """The entry of a name.

    Raises:
        ArgumentError: The name is unknown; the message has the nearest ones.
    """
    if name not in REGISTRIES[kind]:
        raise ArgumentError(f"Unknown {kind} {name!r}. {nearest(name, REGISTRIES[kind])}")
    return REGISTRIES[kind][name]


def options(kind: str, values: Mapping[str, Any]) -> Any:
    """The typed options of a ``{"name": ..., **options}`` mapping."""
    rest = {name: value for name, value in values.items() if name != "name"}
    return typed(entry(kind, values["name"]).config, rest, values["name"])


@dataclasses.dataclass(frozen=True)
class Defaults:
    """What a model uses when the user says nothing."""

    objective: Mapping[str, Any]
    kernel: Mapping[str, Any]
    training: TrainingConfig


DEFAULTS: dict[str, Defaults] = {
    "rbm": Defaults({"name": "persistent-cd"}, {"name": "block-gibbs"}, TrainingConfig()),
    "mlp": Defaults(
        {"name": "persistent-cd", "num_chains": 512, "chain_steps": 2},
        {"name": "hmc", "num_leapfrog": 5},
        TrainingConfig(num_steps=4_000, batch_size=256, learning_rate=2e-3),
    ),
    "conv": Defaults(
        {"name": "denoising-score-matching"},
        {"name": "hmc", "num_leapfrog": 5},
        TrainingConfig(num_steps=1_500, batch_size=64, learning_rate=1e-3),
    ),
}


def default_model(domain: str, kind: str) -> str:
    """The model that a data set gets when none is named."""
    del kind
    return "rbm" if domain == "binary" else "mlp"


def build_energy(config: Mapping[str, Any], data: Data, *, key: PRNGKey) -> energies.AbstractEnergy:
    """The untrained model of a configuration."""
    return entry("model", config["name"]).build(options("model", config), data, key=key)


def build_kernel(config: Mapping[str, Any]) -> kernels.AbstractKernel:
    """The kernel of a configuration."""
    return entry("kernel", config["name"]).build(options("kernel", config))


def build_objective(config: Mapping[str, Any], kernel: kernels.AbstractKernel) -> objectives.AbstractObjective:
    """The objective of a configuration."""
    return entry("objective", config["name"]).build(options("objective", config), kernel)


def num_parameters(energy: energies.AbstractEnergy) -> int:
    """Number of trainable numbers."""
    leaves = jax.tree.leaves(energy)
    return sum(leaf.size for leaf in leaves if jnp.issubdtype(jnp.result_type(leaf), jnp.inexact))
