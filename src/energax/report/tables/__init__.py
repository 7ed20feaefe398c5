"""Results as rows of text (label, value, note): the page and the terminal print the same ones."""

from energax.report.tables._chains import chain_rows as chain_rows
from energax.report.tables._chains import quality_rows as quality_rows
from energax.report.tables._likelihood import baseline_rows as baseline_rows
from energax.report.tables._likelihood import baselines as baselines
from energax.report.tables._likelihood import ground as ground
from energax.report.tables._likelihood import interval_text as interval_text
from energax.report.tables._likelihood import kl_rows as kl_rows
from energax.report.tables._likelihood import likelihood_rows as likelihood_rows
from energax.report.tables._likelihood import log_z_rows as log_z_rows
from energax.report.tables._likelihood import mode_mass_rows as mode_mass_rows
from energax.report.tables._likelihood import mode_masses as mode_masses
from energax.report.tables._likelihood import plain_name as plain_name
from energax.report.tables._numbers import MISSING as MISSING
from energax.report.tables._numbers import ends as ends
from energax.report.tables._numbers import factor as factor
from energax.report.tables._numbers import fixed as fixed
from energax.report.tables._numbers import is_finite as is_finite
from energax.report.tables._numbers import measured as measured
from energax.report.tables._numbers import number as number
from energax.report.tables._numbers import power_of_ten as power_of_ten
from energax.report.tables._numbers import share as share
from energax.report.tables._overview import config_rows as config_rows
from energax.report.tables._overview import environment_rows as environment_rows
from energax.report.tables._overview import event_rows as event_rows
from energax.report.tables._overview import kinds_text as kinds_text
from energax.report.tables._overview import overview_rows as overview_rows
from energax.report.tables._row import Row as Row

__all__ = [
    "MISSING",
    "Row",
    "baseline_rows",
    "baselines",
    "chain_rows",
    "config_rows",
    "ends",
    "environment_rows",
    "event_rows",
    "factor",
    "fixed",
    "ground",
    "interval_text",
    "is_finite",
    "kinds_text",
    "kl_rows",
    "likelihood_rows",
    "log_z_rows",
    "measured",
    "mode_mass_rows",
    "mode_masses",
    "number",
    "overview_rows",
    "plain_name",
    "power_of_ten",
    "quality_rows",
    "share",
]
