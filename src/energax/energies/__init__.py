"""Energies: what a model is, wrappers that build energies from energies, and functions that ask more of them."""

from energax.energies._base import AbstractConditionalEnergy as AbstractConditionalEnergy
from energax.energies._base import AbstractEnergy as AbstractEnergy
from energax.energies._base import FunctionEnergy as FunctionEnergy
from energax.energies._base import ModuleEnergy as ModuleEnergy
from energax.energies._base import energy as energy
from energax.energies._bonds import Bonds as Bonds
from energax.energies._bonds import bonds as bonds
from energax.energies._capabilities import Block as Block
from energax.energies._capabilities import Latent as Latent
from energax.energies._capabilities import Normals as Normals
from energax.energies._capabilities import UniformLattice as UniformLattice
from energax.energies._capabilities import blocks as blocks
from energax.energies._capabilities import capabilities as capabilities
from energax.energies._capabilities import complete as complete
from energax.energies._capabilities import conditional_logits as conditional_logits
from energax.energies._capabilities import conditional_logits_at as conditional_logits_at
from energax.energies._capabilities import conditional_normals as conditional_normals
from energax.energies._capabilities import exact_draw as exact_draw
from energax.energies._capabilities import flip_deltas as flip_deltas
from energax.energies._capabilities import is_confined as is_confined
from energax.energies._capabilities import is_factorised as is_factorised
from energax.energies._capabilities import latent as latent
from energax.energies._capabilities import log_normalizer as log_normalizer
from energax.energies._capabilities import observed as observed
from energax.energies._capabilities import observed_space as observed_space
from energax.energies._capabilities import score as score
from energax.energies._capabilities import score_and_curvature as score_and_curvature
from energax.energies._capabilities import uniform_lattice as uniform_lattice
from energax.energies._capabilities import value_and_score as value_and_score
from energax.energies._files import read_energy as read_energy
from energax.energies._levels import AtLevel as AtLevel
from energax.energies._levels import at_level as at_level
from energax.energies._marginal import Marginal as Marginal
from energax.energies._marginal import marginal as marginal
from energax.energies._mixed import Mixed as Mixed
from energax.energies._multicanonical import EnergyBins as EnergyBins
from energax.energies._multicanonical import Multicanonical as Multicanonical
from energax.energies._multicanonical import energies_of_values as energies_of_values
from energax.energies._multicanonical import flat_energy as flat_energy
from energax.energies._parts import Batched as Batched
from energax.energies._parts import Clamped as Clamped
from energax.energies._parts import Conditional as Conditional
from energax.energies._parts import Given as Given
from energax.energies._parts import given_others as given_others
from energax.energies._posterior import Posterior as Posterior
from energax.energies._posterior import subsampled as subsampled
from energax.energies._wrappers import FREE as FREE
from energax.energies._wrappers import Interpolated as Interpolated
from energax.energies._wrappers import Lifted as Lifted
from energax.energies._wrappers import Shifted as Shifted
from energax.energies._wrappers import Sum as Sum
from energax.energies._wrappers import Tempered as Tempered
from energax.energies.analytic._clusters import AbstractCluster as AbstractCluster
from energax.energies.analytic._clusters import DoubleWellCluster as DoubleWellCluster
from energax.energies.analytic._clusters import LennardJonesCluster as LennardJonesCluster
from energax.energies.analytic._double_well import DoubleWell as DoubleWell
from energax.energies.analytic._many_well import ManyWell as ManyWell
from energax.energies.analytic._mueller_brown import MuellerBrown as MuellerBrown
from energax.energies.graphs._factor_graph import FactorGraph as FactorGraph
from energax.energies.graphs._uai import read_uai as read_uai
from energax.energies.lattice._couplings import AbstractCouplings as AbstractCouplings
from energax.energies.lattice._couplings import LatticeCouplings as LatticeCouplings
from energax.energies.lattice._graph import Graph as Graph
from energax.energies.lattice._instances import curie_weiss as curie_weiss
from energax.energies.lattice._instances import edwards_anderson as edwards_anderson
from energax.energies.lattice._instances import hopfield as hopfield
from energax.energies.lattice._instances import read_rudy as read_rudy
from energax.energies.lattice._instances import sherrington_kirkpatrick as sherrington_kirkpatrick
from energax.energies.lattice._ising import Ising as Ising
from energax.energies.lattice._networks import DenseCouplings as DenseCouplings
from energax.energies.lattice._networks import GraphCouplings as GraphCouplings
from energax.energies.lattice._networks import PatternCouplings as PatternCouplings
from energax.energies.lattice._phi4 import Phi4 as Phi4
from energax.energies.lattice._potts import Potts as Potts
from energax.energies.lattice._rotors import XY as XY
from energax.energies.machines._boltzmann import BoltzmannMachine as BoltzmannMachine
from energax.energies.machines._gaussian_rbm import GaussianRBM as GaussianRBM
from energax.energies.machines._rbm import RBM as RBM
from energax.energies.neural._activations import ACTIVATIONS as ACTIVATIONS
from energax.energies.neural._activations import check_activation as check_activation
from energax.energies.neural._conditional import ConditionalMLP as ConditionalMLP
from energax.energies.neural._confinement import Confinement as Confinement
from energax.energies.neural._conv import ConvNet as ConvNet
from energax.energies.neural._convolution import WIDTH as CONV_WIDTH
from energax.energies.neural._convolution import strided_convolution as strided_convolution
from energax.energies.neural._features import FourierFeatures as FourierFeatures
from energax.energies.neural._features import PeriodicFeatures as PeriodicFeatures
from energax.energies.neural._graph_net import GraphNet as GraphNet
from energax.energies.neural._mlp import MLP as MLP
from energax.energies.neural._mlp import default_confinement as default_confinement
from energax.energies.neural._noise_conditional import NoiseConditionalMLP as NoiseConditionalMLP
from energax.energies.neural._particles import ParticleNet as ParticleNet
from energax.energies.neural._resnet import ResNet as ResNet

__all__ = [
    "ACTIVATIONS",
    "CONV_WIDTH",
    "FREE",
    "MLP",
    "RBM",
    "XY",
    "AbstractCluster",
    "AbstractConditionalEnergy",
    "AbstractCouplings",
    "AbstractEnergy",
    "AtLevel",
    "Batched",
    "Block",
    "BoltzmannMachine",
    "Bonds",
    "Clamped",
    "Conditional",
    "ConditionalMLP",
    "Confinement",
    "ConvNet",
    "DenseCouplings",
    "DoubleWell",
    "DoubleWellCluster",
    "EnergyBins",
    "FactorGraph",
    "FourierFeatures",
    "FunctionEnergy",
    "GaussianRBM",
    "Given",
    "Graph",
    "GraphCouplings",
    "GraphNet",
    "Interpolated",
    "Ising",
    "Latent",
    "LatticeCouplings",
    "LennardJonesCluster",
    "Lifted",
    "ManyWell",
    "Marginal",
    "Mixed",
    "ModuleEnergy",
    "MuellerBrown",
    "Multicanonical",
    "NoiseConditionalMLP",
    "Normals",
    "ParticleNet",
    "PatternCouplings",
    "PeriodicFeatures",
    "Phi4",
    "Posterior",
    "Potts",
    "ResNet",
    "Shifted",
    "Sum",
    "Tempered",
    "UniformLattice",
    "at_level",
    "blocks",
    "bonds",
    "capabilities",
    "check_activation",
    "complete",
    "conditional_logits",
    "conditional_logits_at",
    "conditional_normals",
    "curie_weiss",
    "default_confinement",
    "edwards_anderson",
    "energies_of_values",
    "energy",
    "exact_draw",
    "flat_energy",
    "flip_deltas",
    "given_others",
    "hopfield",
    "is_confined",
    "is_factorised",
    "latent",
    "log_normalizer",
    "marginal",
    "observed",
    "observed_space",
    "read_energy",
    "read_rudy",
    "read_uai",
    "score",
    "score_and_curvature",
    "sherrington_kirkpatrick",
    "strided_convolution",
    "subsampled",
    "uniform_lattice",
    "value_and_score",
]
