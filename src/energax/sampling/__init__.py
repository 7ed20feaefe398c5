"""Drivers: functions that run a kernel over many chains, or move particles along a path."""

from energax.sampling._accumulators import AbstractAccumulator as AbstractAccumulator
from energax.sampling._accumulators import Mean as Mean
from energax.sampling._accumulators import add_compensated as add_compensated
from energax.sampling._adaptation import StepSizeAdaptation as StepSizeAdaptation
from energax.sampling._anneal import Work as Work
from energax.sampling._anneal import anneal as anneal
from energax.sampling._annealed_langevin import annealed_langevin as annealed_langevin
from energax.sampling._cycle import tune_cycle as tune_cycle
from energax.sampling._drive import Driven as Driven
from energax.sampling._drive import drive as drive
from energax.sampling._energy_bins import energy_bins as energy_bins
from energax.sampling._ladder import Ladder as Ladder
from energax.sampling._ladder import tune_ladder as tune_ladder
from energax.sampling._replica_exchange import replica_exchange as replica_exchange
from energax.sampling._replica_exchange import replica_step as replica_step
from energax.sampling._replica_samples import ReplicaSamples as ReplicaSamples
from energax.sampling._resampling import RESAMPLERS as RESAMPLERS
from energax.sampling._resampling import relative_ess as relative_ess
from energax.sampling._sample import sample as sample
from energax.sampling._samples import Samples as Samples
from energax.sampling._schedule import schedule as schedule
from energax.sampling._simulated_annealing import Minimum as Minimum
from energax.sampling._simulated_annealing import simulated_annealing as simulated_annealing
from energax.sampling._spin_exchange import SpinExchange as SpinExchange
from energax.sampling._spin_exchange import SpinLadders as SpinLadders
from energax.sampling._spin_exchange import exchange_spins as exchange_spins
from energax.sampling._spin_exchange import packable as packable
from energax.sampling._starts import starts as starts
from energax.sampling._steps import run_steps as run_steps
from energax.sampling._wang_landau import FlatSamples as FlatSamples
from energax.sampling._wang_landau import WangLandau as WangLandau
from energax.sampling._wang_landau import multicanonical as multicanonical
from energax.sampling._wang_landau import wang_landau as wang_landau
from energax.sampling._warm_up import WarmUp as WarmUp
from energax.sampling._warm_up import warm_up as warm_up

__all__ = [
    "RESAMPLERS",
    "AbstractAccumulator",
    "Driven",
    "FlatSamples",
    "Ladder",
    "Mean",
    "Minimum",
    "ReplicaSamples",
    "Samples",
    "SpinExchange",
    "SpinLadders",
    "StepSizeAdaptation",
    "WangLandau",
    "WarmUp",
    "Work",
    "add_compensated",
    "anneal",
    "annealed_langevin",
    "drive",
    "energy_bins",
    "exchange_spins",
    "multicanonical",
    "packable",
    "relative_ess",
    "replica_exchange",
    "replica_step",
    "run_steps",
    "sample",
    "schedule",
    "simulated_annealing",
    "starts",
    "tune_cycle",
    "tune_ladder",
    "wang_landau",
    "warm_up",
]
