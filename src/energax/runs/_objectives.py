"""The objectives that the command line knows by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from energax import kernels, objectives
from energax._errors import ArgumentError
from energax.data import Data
from energax.runs._continuous_objectives import CONTINUOUS
from energax.runs._entry import Entry, Given
from energax.runs._fitted_objectives import FITTED, fitted_rows
from energax.spaces import Euclidean

_MOST_COLUMNS = 2
_REACH = 5.0


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
class ShortRunConfig:
    """Options of short-run maximum likelihood."""

    num_chains: int = 128
    """Chains that start at noise for every update."""
    chain_steps: int = 100
    """Their length, which belongs to what is learned."""


@dataclasses.dataclass(frozen=True)
class TemperedPCDConfig:
    """Options of persistent contrastive divergence with replica exchange."""

    num_chains: int = 64
    """Ladders of replicas, each with one at the model."""
    num_levels: int = 10
    """Replicas in each ladder."""
    chain_steps: int = 1
    """Transitions of each replica at every update."""


@dataclasses.dataclass(frozen=True)
class TrajectoryConfig:
    """Options of persistent contrastive divergence with the past of the model as ladder."""

    num_chains: int = 64
    """Ladders of replicas, each with one at the model."""
    num_models: int = 8
    """Stored models of the past."""
    chain_steps: int = 1
    """Transitions of each replica at every update."""


@dataclasses.dataclass(frozen=True)
class JarzynskiConfig:
    """Options of maximum likelihood with weighted walkers."""

    num_chains: int = 8192
    """Walkers, which carry weights from update to update: masses are wrong by what falls with their number."""
    num_moved: int = 512
    """Walkers, all others being weighed only, that make the gradient of an update and move."""
    chain_steps: int = 1
    """Transitions of each walker at every update."""
    resample_below: float = 0.5
    """Relative effective number of walkers below which they are resampled."""
    least_ess: float | None = None
    """Updates are made smaller, so that each leaves about this relative effective number."""


@dataclasses.dataclass(frozen=True)
class ExactConfig:
    """Options of exact maximum likelihood."""

    half_width: float | None = None
    """Half width of the square about 0 that real columns are integrated over; else 5 standard deviations each way."""
    num_points: int = 160
    """Nodes along each real column."""


@dataclasses.dataclass(frozen=True)
class DenoisingConfig:
    """Options of denoising score matching."""

    noise_scale: float = 0.2
    """Standard deviation of the noise, in the model's units: standardised data, 2-D sets as they are."""
    num_copies: int = 4
    """Noisy copies of each row, in antithetic pairs."""


@dataclasses.dataclass(frozen=True)
class SitesConfig:
    """Options of objectives that look at the law of each site given the others."""

    num_sites: int | None = None
    """Sites that each row looks at in each update; all by default."""


@dataclasses.dataclass(frozen=True)
class ScreeningConfig:
    """Options of interaction screening."""

    log: bool = False
    """The logarithm of the mean of each site (logRISE)."""
    num_sites: int | None = None
    """Sites that each row looks at in each update; all by default."""


@dataclasses.dataclass(frozen=True)
class DiscrepancyConfig:
    """Options of energy discrepancy."""

    perturbation: str = "gaussian"
    """gaussian for numbers; sites (each drawn anew with some probability) or neighbour (one changes) for 0/1 data."""
    noise_scale: float = 0.5
    """Standard deviation of the gaussian perturbation, in the model's units."""
    rate: float = 0.1
    """Probability with which sites are drawn anew."""
    num_samples: int = 32
    """Ways back for each row."""


def _build_pcd(config: PersistentCDConfig, given: Given) -> objectives.AbstractObjective:
    return objectives.PersistentCD(
        given.kernel,
        config.num_chains,
        config.chain_steps,
        reservoir=config.reservoir,
        restart=config.restart,
        adapt_step_size=_adapts(given.kernel),
    )


def _adapts(kernel: kernels.AbstractKernel) -> bool:
    """Whether its step size may follow its acceptance."""
    return isinstance(kernel, kernels.AbstractStepSizeKernel) and kernel.exact


def _build_cd(config: CDConfig, given: Given) -> objectives.AbstractObjective:
    return objectives.ContrastiveDivergence(given.kernel, config.chain_steps)


def _build_short_run(config: ShortRunConfig, given: Given) -> objectives.AbstractObjective:
    return objectives.ShortRun(given.kernel, config.num_chains, config.chain_steps)


def _build_tempered(config: TemperedPCDConfig, given: Given) -> objectives.AbstractObjective:
    sizes = config.num_chains, config.num_levels, config.chain_steps
    return objectives.TemperedPCD(given.kernel, *sizes, adapt_step_size=_adapts(given.kernel))


def _build_trajectory(config: TrajectoryConfig, given: Given) -> objectives.AbstractObjective:
    sizes = config.num_chains, config.num_models, config.chain_steps
    return objectives.TrajectoryPCD(given.kernel, *sizes, adapt_step_size=_adapts(given.kernel))


def _build_jarzynski(config: JarzynskiConfig, given: Given) -> objectives.AbstractObjective:
    return objectives.Jarzynski(
        given.kernel,
        config.num_chains,
        config.chain_steps,
        num_moved=min(config.num_moved, config.num_chains),
        resample_below=config.resample_below,
        least_ess=config.least_ess,
    )


def _build_exact(config: ExactConfig, given: Given) -> objectives.AbstractObjective:
    half, space = config.half_width, given.data.space
    bounds = None
    if isinstance(space, Euclidean) and space.num_sites <= _MOST_COLUMNS:
        bounds = _box(given.data) if half is None else ((-half, half),) * space.num_sites
    return objectives.ExactLikelihood(bounds, config.num_points)


def _box(data: Data) -> tuple[tuple[float, float], ...]:
    rows = fitted_rows(data).reshape(-1, data.space.num_sites)
    middle, reach = rows.mean(axis=0), _REACH * rows.std(axis=0)
    return tuple((float(m - r), float(m + r)) for m, r in zip(middle, reach, strict=True))


def _build_dsm(config: DenoisingConfig, given: Given) -> objectives.AbstractObjective:
    del given
    return objectives.DenoisingScoreMatching(config.noise_scale, num_copies=config.num_copies)


def _build_screening(config: ScreeningConfig, given: Given) -> objectives.AbstractObjective:
    del given
    return objectives.InteractionScreening(log=config.log, num_sites=config.num_sites)


def _build_discrepancy(config: DiscrepancyConfig, given: Given) -> objectives.AbstractObjective:
    del given
    known: dict[str, Callable[[], objectives.AbstractPerturbation]] = {
        "gaussian": lambda: objectives.GaussianPerturbation(config.noise_scale),
        "sites": lambda: objectives.SitePerturbation(config.rate),
        "neighbour": objectives.NeighbourPerturbation,
    }
    if config.perturbation not in known:
        raise ArgumentError(f"--perturbation is one of {', '.join(known)}, got {config.perturbation!r}.")
    return objectives.EnergyDiscrepancy(known[config.perturbation](), config.num_samples)


_OfSites = (
    objectives.PseudoLikelihood
    | objectives.RatioMatching
    | objectives.MinimumProbabilityFlow
    | objectives.ConcreteScoreMatching
)


def _site_entry(name: str, cls: type[_OfSites], summary: str) -> Entry[Any]:
    """The entry of an objective that looks at single sites and has no other option."""
    return Entry(name, cls, SitesConfig, lambda config, _: cls(config.num_sites), summary)


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
            "short-run",
            objectives.ShortRun,
            ShortRunConfig,
            _build_short_run,
            "chains of a fixed length from noise: these chains are the model",
        ),
        Entry(
            "tempered-pcd",
            objectives.TemperedPCD,
            TemperedPCDConfig,
            _build_tempered,
            "persistent chains that swap with easier ones, and so travel between modes",
        ),
        Entry(
            "trajectory-pcd",
            objectives.TrajectoryPCD,
            TrajectoryConfig,
            _build_trajectory,
            "persistent chains that swap with those of the model's own past",
        ),
        Entry(
            "jarzynski",
            objectives.Jarzynski,
            JarzynskiConfig,
            _build_jarzynski,
            "weighted walkers, exact however slowly they mix",
        ),
        Entry(
            "exact-likelihood",
            objectives.ExactLikelihood,
            ExactConfig,
            _build_exact,
            "no chains; the likelihood itself, of few sites or two real columns",
        ),
        Entry(
            "denoising-score-matching",
            objectives.DenoisingScoreMatching,
            DenoisingConfig,
            _build_dsm,
            "no chains; learns the law of slightly noisy data",
        ),
        _site_entry(
            "pseudo-likelihood",
            objectives.PseudoLikelihood,
            "no chains; predicts each site of discrete data from the others",
        ),
        _site_entry(
            "ratio-matching", objectives.RatioMatching, "no chains; the same with squared errors, which outliers spare"
        ),
        Entry(
            "interaction-screening",
            objectives.InteractionScreening,
            ScreeningConfig,
            _build_screening,
            "no chains; undoes the coupling of each site to the others",
        ),
        _site_entry(
            "minimum-probability-flow",
            objectives.MinimumProbabilityFlow,
            "no chains; lets least probability flow from the data to their neighbours",
        ),
        _site_entry(
            "concrete-score-matching",
            objectives.ConcreteScoreMatching,
            "no chains; squared errors of ratios between neighbours, needs many rows",
        ),
        *CONTINUOUS,
        *FITTED,
        Entry(
            "energy-discrepancy",
            objectives.EnergyDiscrepancy,
            DiscrepancyConfig,
            _build_discrepancy,
            "no chains, no scores; ranks data among what a perturbation and its way back make of them",
        ),
    )
}
