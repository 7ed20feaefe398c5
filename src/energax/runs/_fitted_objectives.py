"""The objectives of which a part is fitted to the data, which the command line knows by name."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np

from energax import densities, objectives
from energax._errors import ArgumentError
from energax.data import Data
from energax.evaluation import fit_base
from energax.runs._entry import Entry, Given
from energax.spaces import Euclidean

_NUM_FITTED = 10_000
_FLOW_KEY = 0x666C6F77


@dataclasses.dataclass(frozen=True)
class NCEConfig:
    """Options of noise-contrastive estimation."""

    num_noise: int = 4
    """Draws of the noise, a simple law fitted to the data, for each row."""


@dataclasses.dataclass(frozen=True)
class RankingConfig:
    """Options of ranking noise-contrastive estimation."""

    num_noise: int = 8
    """Draws of the noise among which each row is to be found."""


@dataclasses.dataclass(frozen=True)
class FlowConfig:
    """Options of flow-contrastive estimation."""

    flow_layers: int = 4
    """Layers of the flow."""
    flow_width: int = 32
    """Units in the hidden layer of each of them."""


@dataclasses.dataclass(frozen=True)
class AdversarialConfig:
    """Options of adversarial likelihood."""

    num_draws: int = 256
    """Draws of the generator at each update."""
    flow_layers: int = 4
    """Layers of the generator, a flow."""
    flow_width: int = 32
    """Units in the hidden layer of each of them."""


@dataclasses.dataclass(frozen=True)
class AssistedConfig:
    """Options of flow-assisted maximum likelihood."""

    num_chains: int = 512
    """Chains that go on from update to update."""
    chain_steps: int = 1
    """Local transitions of each chain at every update."""
    num_jumps: int = 1
    """Jumps that the flow proposes to each chain at every update."""
    flow_layers: int = 4
    """Layers of the flow."""
    flow_width: int = 32
    """Units in the hidden layer of each of them."""


@dataclasses.dataclass(frozen=True)
class MultiScaleConfig:
    """Options of denoising score matching at many levels."""

    least_noise: float = 0.1
    """Standard deviation of the least noise, in the model's units."""
    most_noise: float | None = None
    """That of the most; by default the standard deviation of the data."""
    num_levels: int = 10
    """Number of levels, each the same factor from the next."""


@dataclasses.dataclass(frozen=True)
class RecoveryConfig:
    """Options of diffusion recovery likelihood."""

    least_noise: float = 0.1
    """Standard deviation of the least noise, in the model's units."""
    most_noise: float | None = None
    """That of the most; by default the standard deviation of the data."""
    num_levels: int = 10
    """Number of levels, each the same factor from the next; at the last there is nothing but noise."""
    chain_steps: int = 10
    """Transitions by which each row goes back one level."""


def fitted_rows(data: Data) -> np.ndarray:
    """Evenly spaced training rows in double precision, enough for means and covariances."""
    count = min(len(data.train), _NUM_FITTED)
    return np.asarray(data.train.take(np.linspace(0, len(data.train) - 1, count).astype(np.int64)), np.float64)


def _noise(data: Data) -> densities.AbstractDensity:
    return fit_base(data.space, fitted_rows(data))


def _flow(data: Data, layers: int, width: int) -> densities.AbstractDensity:
    """A flow that begins near the normal law with the mean and scale of the data."""
    if not isinstance(data.space, Euclidean) or len(data.space.shape) != 1:
        raise ArgumentError(f"Flows are laws of vectors of real numbers, but {data.name} lives on {data.space}.")
    rows = fitted_rows(data)
    return densities.autoregressive_flow(
        rows.shape[1],
        num_layers=layers,
        width=width,
        mean=rows.mean(axis=0),
        scale=np.maximum(rows.std(axis=0), 1e-3),
        key=jax.random.key(_FLOW_KEY),
    )


def _build_nce(config: NCEConfig, given: Given) -> objectives.AbstractObjective:
    return objectives.NoiseContrastive(_noise(given.data), num_noise=config.num_noise)


def _build_ranking(config: RankingConfig, given: Given) -> objectives.AbstractObjective:
    return objectives.RankingNCE(_noise(given.data), num_noise=config.num_noise)


def _build_flow(config: FlowConfig, given: Given) -> objectives.AbstractObjective:
    return objectives.FlowContrastive(_flow(given.data, config.flow_layers, config.flow_width))


def _build_adversarial(config: AdversarialConfig, given: Given) -> objectives.AbstractObjective:
    flow = _flow(given.data, config.flow_layers, config.flow_width)
    return objectives.AdversarialLikelihood(flow, num_draws=config.num_draws)


def _build_assisted(config: AssistedConfig, given: Given) -> objectives.AbstractObjective:
    return objectives.FlowAssisted(
        given.kernel,
        _flow(given.data, config.flow_layers, config.flow_width),
        num_chains=config.num_chains,
        num_steps=config.chain_steps,
        num_jumps=config.num_jumps,
    )


def _noise_scales(name: str, config: MultiScaleConfig | RecoveryConfig, given: Given) -> tuple[float, ...]:
    """Noise levels from the least to the most, each the same factor from the next."""
    least, most = config.least_noise, config.most_noise
    if most is None:
        most = float(np.sqrt(fitted_rows(given.data).var(axis=0).mean()))
    if not 0 < least < most or config.num_levels < 2:
        raise ArgumentError(
            f"{name} needs 0 < --least-noise < --most-noise and --num-levels of at least 2, got "
            f"{least}, {most:.3g} and {config.num_levels}."
        )
    return tuple(np.geomspace(least, most, config.num_levels).tolist())


def _build_multi_scale(config: MultiScaleConfig, given: Given) -> objectives.AbstractObjective:
    return objectives.MultiScaleDenoising(_noise_scales("multi-scale-denoising", config, given)[::-1])


def _build_recovery(config: RecoveryConfig, given: Given) -> objectives.AbstractObjective:
    scales = _noise_scales("recovery-likelihood", config, given)
    return objectives.RecoveryLikelihood(scales, given.kernel, config.chain_steps)


FITTED: tuple[Entry[Any], ...] = (
    Entry(
        "nce",
        objectives.NoiseContrastive,
        NCEConfig,
        _build_nce,
        "no chains; tells rows from noise fitted to them, and learns log Z",
    ),
    Entry(
        "ranking-nce",
        objectives.RankingNCE,
        RankingConfig,
        _build_ranking,
        "no chains; finds each row among draws of noise fitted to the data",
    ),
    Entry(
        "flow-contrastive",
        objectives.FlowContrastive,
        FlowConfig,
        _build_flow,
        "no chains; tells rows from a flow that learns to look like them",
    ),
    Entry(
        "adversarial",
        objectives.AdversarialLikelihood,
        AdversarialConfig,
        _build_adversarial,
        "no chains; a flow that follows the model takes their place",
    ),
    Entry(
        "flow-assisted",
        objectives.FlowAssisted,
        AssistedConfig,
        _build_assisted,
        "persistent chains that jump where a flow proposes, which follows them",
    ),
    Entry(
        "multi-scale-denoising",
        objectives.MultiScaleDenoising,
        MultiScaleConfig,
        _build_multi_scale,
        "no chains; the scores of the data at many noise levels, for noise-mlp",
    ),
    Entry(
        "recovery-likelihood",
        objectives.RecoveryLikelihood,
        RecoveryConfig,
        _build_recovery,
        "the data at many noise levels, each by chains that undo one step of noise, for noise-mlp",
    ),
)
