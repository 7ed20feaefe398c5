"""One HTML page for each run, and the tables that the page and the terminal share."""

from energax.report import tables as tables
from energax.report._comparison import comparison_columns as comparison_columns
from energax.report._comparison import write_comparison as write_comparison
from energax.report._crooks import DrivenLike as DrivenLike
from energax.report._crooks import write_crooks as write_crooks
from energax.report._free_energy import FreeEnergyLike as FreeEnergyLike
from energax.report._free_energy import free_energy_rows as free_energy_rows
from energax.report._free_energy import write_free_energy as write_free_energy
from energax.report._models import model_tables as model_tables
from energax.report._models import write_models as write_models
from energax.report._page import write as write
from energax.report._restoration import RestorationLike as RestorationLike
from energax.report._restoration import restoration_rows as restoration_rows
from energax.report._restoration import write_restoration as write_restoration
from energax.report._simulated_log_z import log_z_point_rows as log_z_point_rows
from energax.report._simulation import SimulationLike as SimulationLike
from energax.report._simulation import ladder_rows as ladder_rows
from energax.report._simulation import point_rows as point_rows
from energax.report._simulation import write_simulation as write_simulation
from energax.report._summary import SummaryLike as SummaryLike
from energax.report._uncertainty import UncertaintyLike as UncertaintyLike
from energax.report._uncertainty import uncertainty_tables as uncertainty_tables
from energax.report._uncertainty import write_uncertainty as write_uncertainty

__all__ = [
    "DrivenLike",
    "FreeEnergyLike",
    "RestorationLike",
    "SimulationLike",
    "SummaryLike",
    "UncertaintyLike",
    "comparison_columns",
    "free_energy_rows",
    "ladder_rows",
    "log_z_point_rows",
    "model_tables",
    "point_rows",
    "restoration_rows",
    "tables",
    "uncertainty_tables",
    "write",
    "write_comparison",
    "write_crooks",
    "write_free_energy",
    "write_models",
    "write_restoration",
    "write_simulation",
    "write_uncertainty",
]
