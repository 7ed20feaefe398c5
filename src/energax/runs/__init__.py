"""Runs: typed configurations, the registry behind every name, a run and its directory, and its summary."""

from energax.runs._configs import DataConfig as DataConfig
from energax.runs._configs import RunConfig as RunConfig
from energax.runs._configs import TrainingConfig as TrainingConfig
from energax.runs._directory import fresh_directory as fresh_directory
from energax.runs._draws import draw_samples as draw_samples
from energax.runs._entry import Entry as Entry
from energax.runs._free_energy import METHODS as FREE_ENERGY_METHODS
from energax.runs._free_energy import FreeEnergy as FreeEnergy
from energax.runs._free_energy import System as System
from energax.runs._free_energy import free_energy as free_energy
from energax.runs._free_energy import open_system as open_system
from energax.runs._free_energy import save_free_energy as save_free_energy
from energax.runs._free_energy import transitions_within as transitions_within
from energax.runs._free_energy_plan import FreeEnergyPlan as FreeEnergyPlan
from energax.runs._free_energy_plan import digest as digest
from energax.runs._generators import GENERATIVE_OBJECTIVES as GENERATIVE_OBJECTIVES
from energax.runs._generators import GENERATORS as GENERATORS
from energax.runs._generators import calibrating_energy as calibrating_energy
from energax.runs._generators import latent_dim as latent_dim
from energax.runs._judge import summarise as summarise
from energax.runs._kernels import KERNELS as KERNELS
from energax.runs._models import MODELS as MODELS
from energax.runs._objectives import OBJECTIVES as OBJECTIVES
from energax.runs._pieces import Pieces as Pieces
from energax.runs._plan import default_training as default_training
from energax.runs._plan import field_help as field_help
from energax.runs._plan import plan as plan
from energax.runs._registry import DEFAULTS as DEFAULTS
from energax.runs._registry import REGISTRIES as REGISTRIES
from energax.runs._registry import build_energy as build_energy
from energax.runs._registry import build_generative_objective as build_generative_objective
from energax.runs._registry import build_kernel as build_kernel
from energax.runs._registry import build_objective as build_objective
from energax.runs._registry import build_regularised as build_regularised
from energax.runs._registry import entry as entry
from energax.runs._registry import is_generator as is_generator
from energax.runs._registry import num_parameters as num_parameters
from energax.runs._restoring import HALVES as HALVES
from energax.runs._restoring import OPERATORS as OPERATORS
from energax.runs._restoring import Restoration as Restoration
from energax.runs._restoring import psnr as psnr
from energax.runs._restoring import restore_image as restore_image
from energax.runs._run import Run as Run
from energax.runs._run import centred_sgd as centred_sgd
from energax.runs._run import load as load
from energax.runs._run import optimizer as optimizer
from energax.runs._simulated import SIMULATED as SIMULATED
from energax.runs._simulated import SimulatedModel as SimulatedModel
from energax.runs._simulation import Simulation as Simulation
from energax.runs._simulation import save_simulation as save_simulation
from energax.runs._simulation import simulate as simulate
from energax.runs._simulation_plan import SimulationPlan as SimulationPlan
from energax.runs._simulation_plan import load_energy as load_energy
from energax.runs._simulation_plan import plan_simulation as plan_simulation
from energax.runs._simulation_plan import sizes as sizes
from energax.runs._simulation_plan import temperatures as temperatures
from energax.runs._stored import AbstractPlan as AbstractPlan
from energax.runs._summary import Summary as Summary
from energax.runs._summary import environment as environment
from energax.runs._summary import plain as plain

__all__ = [
    "DEFAULTS",
    "FREE_ENERGY_METHODS",
    "GENERATIVE_OBJECTIVES",
    "GENERATORS",
    "HALVES",
    "KERNELS",
    "MODELS",
    "OBJECTIVES",
    "OPERATORS",
    "REGISTRIES",
    "SIMULATED",
    "AbstractPlan",
    "DataConfig",
    "Entry",
    "FreeEnergy",
    "FreeEnergyPlan",
    "Pieces",
    "Restoration",
    "Run",
    "RunConfig",
    "SimulatedModel",
    "Simulation",
    "SimulationPlan",
    "Summary",
    "System",
    "TrainingConfig",
    "build_energy",
    "build_generative_objective",
    "build_kernel",
    "build_objective",
    "build_regularised",
    "calibrating_energy",
    "centred_sgd",
    "default_training",
    "digest",
    "draw_samples",
    "entry",
    "environment",
    "field_help",
    "free_energy",
    "fresh_directory",
    "is_generator",
    "latent_dim",
    "load",
    "load_energy",
    "num_parameters",
    "open_system",
    "optimizer",
    "plain",
    "plan",
    "plan_simulation",
    "psnr",
    "restore_image",
    "save_free_energy",
    "save_simulation",
    "simulate",
    "sizes",
    "summarise",
    "temperatures",
    "transitions_within",
]
