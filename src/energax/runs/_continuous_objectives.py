"""The objectives of continuous data that have no kernel of their own and that the command line knows by name."""

from __future__ import annotations

import dataclasses
from typing import Any

from energax import objectives
from energax.runs._entry import Entry, Given


@dataclasses.dataclass(frozen=True)
class ScoreMatchingConfig:
    """Implicit score matching has no options."""


@dataclasses.dataclass(frozen=True)
class SlicedConfig:
    """Options of sliced score matching."""

    num_projections: int = 4
    """Random directions for each row."""


@dataclasses.dataclass(frozen=True)
class FiniteDifferenceConfig:
    """Options of finite-difference score matching."""

    spacing: float = 0.1
    """Distance of the points that are compared, in the model's units."""
    num_projections: int = 4
    """Random directions for each row."""


@dataclasses.dataclass(frozen=True)
class ConditionalNCEConfig:
    """Options of conditional noise-contrastive estimation."""

    noise_scale: float = 0.3
    """Standard deviation of the noise, in the model's units: standardised data, 2-D sets as they are."""
    num_noise: int = 4
    """Noisy copies of each row."""


@dataclasses.dataclass(frozen=True)
class KernelSteinConfig:
    """Options of the kernel Stein discrepancy."""

    bandwidth: float | None = None
    """Width of the kernel, in the model's units; that of near rows of the first batch by default."""


@dataclasses.dataclass(frozen=True)
class EnergyMatchingConfig:
    """Options of energy matching."""

    temperature: float = 0.1
    """ε, in squares of the model's units over time: small against the square of the way from noise to data."""
    num_warm_up: int = 2_000
    """Updates with the flow alone."""
    chain_steps: int = 40
    """Steps of 1/20 of the time in which noise flows to the data."""
    weight: float = 1.0
    """Of the contrast between rows and chains."""


def _build_matching(config: EnergyMatchingConfig, given: Given) -> objectives.AbstractObjective:
    del given
    return objectives.EnergyMatching(
        config.temperature, config.num_warm_up, config.chain_steps, 0.05, weight=config.weight
    )


def _build_ksd(config: KernelSteinConfig, given: Given) -> objectives.AbstractObjective:
    del given
    return objectives.KernelStein(config.bandwidth)


def _build_sm(config: ScoreMatchingConfig, given: Given) -> objectives.AbstractObjective:
    del config, given
    return objectives.ScoreMatching()


def _build_ssm(config: SlicedConfig, given: Given) -> objectives.AbstractObjective:
    del given
    return objectives.SlicedScoreMatching(config.num_projections)


def _build_fdsm(config: FiniteDifferenceConfig, given: Given) -> objectives.AbstractObjective:
    del given
    return objectives.FiniteDifferenceScoreMatching(config.spacing, config.num_projections)


def _build_cnce(config: ConditionalNCEConfig, given: Given) -> objectives.AbstractObjective:
    del given
    return objectives.ConditionalNoiseContrastive(config.noise_scale, config.num_noise)


CONTINUOUS: tuple[Entry[Any], ...] = (
    Entry(
        "score-matching",
        objectives.ScoreMatching,
        ScoreMatchingConfig,
        _build_sm,
        "no chains and no noise; its cost grows with the number of coordinates",
    ),
    Entry(
        "sliced-score-matching",
        objectives.SlicedScoreMatching,
        SlicedConfig,
        _build_ssm,
        "score matching along random directions",
    ),
    Entry(
        "finite-difference-score-matching",
        objectives.FiniteDifferenceScoreMatching,
        FiniteDifferenceConfig,
        _build_fdsm,
        "score matching from values of the energy alone",
    ),
    Entry(
        "conditional-nce",
        objectives.ConditionalNoiseContrastive,
        ConditionalNCEConfig,
        _build_cnce,
        "no chains; tells rows from their noisy copies",
    ),
    Entry(
        "kernel-stein",
        objectives.KernelStein,
        KernelSteinConfig,
        _build_ksd,
        "no chains; weighs the mismatch of slopes by a kernel",
    ),
    Entry(
        "energy-matching",
        objectives.EnergyMatching,
        EnergyMatchingConfig,
        _build_matching,
        "one potential whose flow carries noise to the data, and which is their energy there",
    ),
)
