"""The kernels that the command line knows by name."""

from __future__ import annotations

import dataclasses
from typing import Any

from energax import kernels
from energax.runs._entry import Entry, NoOptions


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
