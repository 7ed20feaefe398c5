"""Kernels: one Markov transition a file. The energy is an argument of every call, never part of the kernel."""

from energax.kernels._acs import ACS as ACS
from energax.kernels._acs import cosine as cosine
from energax.kernels._base import AbstractKernel as AbstractKernel
from energax.kernels._base import AbstractState as AbstractState
from energax.kernels._base import AbstractStepSizeKernel as AbstractStepSizeKernel
from energax.kernels._base import StepInfo as StepInfo
from energax.kernels._base import seen_by as seen_by
from energax.kernels._base import suggestions as suggestions
from energax.kernels._base import target as target
from energax.kernels._blackjax import MCLMC as MCLMC
from energax.kernels._blackjax import NUTS as NUTS
from energax.kernels._blackjax import AdjustedMCLMC as AdjustedMCLMC
from energax.kernels._block_gibbs import BlockGibbs as BlockGibbs
from energax.kernels._compose import Cycle as Cycle
from energax.kernels._compose import Mixture as Mixture
from energax.kernels._compose import Repeat as Repeat
from energax.kernels._discrete_langevin import DMALA as DMALA
from energax.kernels._discrete_langevin import DULA as DULA
from energax.kernels._gibbs_with_gradients import GibbsWithGradients as GibbsWithGradients
from energax.kernels._heat_bath import HeatBath as HeatBath
from energax.kernels._heat_bath import SiteProposal as SiteProposal
from energax.kernels._hmc import HMC as HMC
from energax.kernels._independence import IndependenceMetropolis as IndependenceMetropolis
from energax.kernels._langevin import MALA as MALA
from energax.kernels._langevin import ULA as ULA
from energax.kernels._langevin import LangevinState as LangevinState
from energax.kernels._on_part import OnPart as OnPart
from energax.kernels._rwm import RandomWalk as RandomWalk
from energax.kernels._sgld import SGLD as SGLD
from energax.kernels._site_metropolis import Metropolis as Metropolis
from energax.kernels._swendsen_wang import SwendsenWang as SwendsenWang
from energax.kernels._underdamped import UnderdampedLangevin as UnderdampedLangevin
from energax.kernels._wolff import Wolff as Wolff

__all__ = [
    "ACS",
    "DMALA",
    "DULA",
    "HMC",
    "MALA",
    "MCLMC",
    "NUTS",
    "SGLD",
    "ULA",
    "AbstractKernel",
    "AbstractState",
    "AbstractStepSizeKernel",
    "AdjustedMCLMC",
    "BlockGibbs",
    "Cycle",
    "GibbsWithGradients",
    "HeatBath",
    "IndependenceMetropolis",
    "LangevinState",
    "Metropolis",
    "Mixture",
    "OnPart",
    "RandomWalk",
    "Repeat",
    "SiteProposal",
    "StepInfo",
    "SwendsenWang",
    "UnderdampedLangevin",
    "Wolff",
    "cosine",
    "seen_by",
    "suggestions",
    "target",
]
