"""Published systems, built whole: energy-based uncertainty of graph networks (GEBM), calibrated generators (EC-VAE)."""

from energax.systems.calibration._calibrate import calibrate as calibrate
from energax.systems.calibration._calibrate import spread as spread
from energax.systems.calibration._constraint import AbstractConstraint as AbstractConstraint
from energax.systems.calibration._constraint import Calibration as Calibration
from energax.systems.calibration._distances import AbstractDistance as AbstractDistance
from energax.systems.calibration._distances import FeatureDistance as FeatureDistance
from energax.systems.calibration._distances import SquaredError as SquaredError
from energax.systems.calibration._distances import StructuralDissimilarity as StructuralDissimilarity
from energax.systems.calibration._learner import CalibrationLearner as CalibrationLearner
from energax.systems.calibration._model import Calibrated as Calibrated
from energax.systems.calibration._posterior import PosteriorCalibration as PosteriorCalibration
from energax.systems.calibration._refinement import Refinement as Refinement
from energax.systems.calibration._refinement import TetheredEnergy as TetheredEnergy
from energax.systems.calibration._vaebm import VAEBM as VAEBM
from energax.systems.calibration._vaebm import JointEnergy as JointEnergy
from energax.systems.calibration._vaebm import VAEBMLikelihood as VAEBMLikelihood
from energax.systems.graphs._baselines import entropy as entropy
from energax.systems.graphs._baselines import gnnsafe as gnnsafe
from energax.systems.graphs._baselines import graph_kernel_density as graph_kernel_density
from energax.systems.graphs._baselines import logit_energy as logit_energy
from energax.systems.graphs._baselines import max_softmax as max_softmax
from energax.systems.graphs._baselines import mutual_information as mutual_information
from energax.systems.graphs._class_densities import ClassDensities as ClassDensities
from energax.systems.graphs._diffusion import diffuse as diffuse
from energax.systems.graphs._files import NAMED_GRAPHS as NAMED_GRAPHS
from energax.systems.graphs._files import NamedGraph as NamedGraph
from energax.systems.graphs._files import fingerprint as fingerprint
from energax.systems.graphs._files import load_graph as load_graph
from energax.systems.graphs._fisher import FisherScore as FisherScore
from energax.systems.graphs._gebm import GEBM as GEBM
from energax.systems.graphs._gebm import NodeEnergies as NodeEnergies
from energax.systems.graphs._graph import Graph as Graph
from energax.systems.graphs._networks import APPNP as APPNP
from energax.systems.graphs._networks import GAT as GAT
from energax.systems.graphs._networks import GCN as GCN
from energax.systems.graphs._networks import NETWORKS as NETWORKS
from energax.systems.graphs._networks import AbstractGraphNetwork as AbstractGraphNetwork
from energax.systems.graphs._networks import NetworkInput as NetworkInput
from energax.systems.graphs._networks import network_input as network_input
from energax.systems.graphs._outputs import NodeOutputs as NodeOutputs
from energax.systems.graphs._outputs import node_outputs as node_outputs
from energax.systems.graphs._scores import NODE_SCORES as NODE_SCORES
from energax.systems.graphs._scores import Asked as Asked
from energax.systems.graphs._scores import NodeScore as NodeScore
from energax.systems.graphs._scores import Trained as Trained
from energax.systems.graphs._scores import node_score as node_score
from energax.systems.graphs._shifts import SHIFTS as SHIFTS
from energax.systems.graphs._shifts import Shift as Shift
from energax.systems.graphs._shifts import ShiftedGraph as ShiftedGraph
from energax.systems.graphs._shifts import leave_out_classes as leave_out_classes
from energax.systems.graphs._shifts import low_homophily as low_homophily
from energax.systems.graphs._shifts import low_page_rank as low_page_rank
from energax.systems.graphs._shifts import random_half as random_half
from energax.systems.graphs._shifts import shift as shift
from energax.systems.graphs._sparse import Sparse as Sparse
from energax.systems.graphs._splits import NodeSplit as NodeSplit
from energax.systems.graphs._splits import split_nodes as split_nodes
from energax.systems.graphs._training import TrainedNetwork as TrainedNetwork
from energax.systems.graphs._training import train_network as train_network
from energax.systems.restoration._operators import AbstractOperator as AbstractOperator
from energax.systems.restoration._operators import Colourise as Colourise
from energax.systems.restoration._operators import CompressedSensing as CompressedSensing
from energax.systems.restoration._operators import Denoise as Denoise
from energax.systems.restoration._operators import Inpaint as Inpaint
from energax.systems.restoration._operators import SuperResolution as SuperResolution
from energax.systems.restoration._restore import LatentPosterior as LatentPosterior
from energax.systems.restoration._restore import Restored as Restored
from energax.systems.restoration._restore import restore as restore

__all__ = [
    "APPNP",
    "GAT",
    "GCN",
    "GEBM",
    "NAMED_GRAPHS",
    "NETWORKS",
    "NODE_SCORES",
    "SHIFTS",
    "VAEBM",
    "AbstractConstraint",
    "AbstractDistance",
    "AbstractGraphNetwork",
    "AbstractOperator",
    "Asked",
    "Calibrated",
    "Calibration",
    "CalibrationLearner",
    "ClassDensities",
    "Colourise",
    "CompressedSensing",
    "Denoise",
    "FeatureDistance",
    "FisherScore",
    "Graph",
    "Inpaint",
    "JointEnergy",
    "LatentPosterior",
    "NamedGraph",
    "NetworkInput",
    "NodeEnergies",
    "NodeOutputs",
    "NodeScore",
    "NodeSplit",
    "PosteriorCalibration",
    "Refinement",
    "Restored",
    "Shift",
    "ShiftedGraph",
    "Sparse",
    "SquaredError",
    "StructuralDissimilarity",
    "SuperResolution",
    "TetheredEnergy",
    "Trained",
    "TrainedNetwork",
    "VAEBMLikelihood",
    "calibrate",
    "diffuse",
    "entropy",
    "fingerprint",
    "gnnsafe",
    "graph_kernel_density",
    "leave_out_classes",
    "load_graph",
    "logit_energy",
    "low_homophily",
    "low_page_rank",
    "max_softmax",
    "mutual_information",
    "network_input",
    "node_outputs",
    "node_score",
    "random_half",
    "restore",
    "shift",
    "split_nodes",
    "spread",
    "train_network",
]
