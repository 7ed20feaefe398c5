"""The parts of the page, each a function from a summary to blocks; `SECTIONS` is their order."""

from collections.abc import Callable

from energax.report._blocks import Section
from energax.report._summary import SummaryLike
from energax.report.sections._chains import chains_section
from energax.report.sections._facts import data_name as data_name
from energax.report.sections._facts import how_it_was_trained as how_it_was_trained
from energax.report.sections._facts import model_name as model_name
from energax.report.sections._facts import what_was_fitted as what_was_fitted
from energax.report.sections._likelihood import likelihood_section
from energax.report.sections._reproduce import reproduce_section
from energax.report.sections._samples import samples_section
from energax.report.sections._training import training_section
from energax.report.sections._truth import truth_section
from energax.report.sections._verdict import cards as cards
from energax.report.sections._verdict import verdict as verdict
from energax.report.sections._verdict import warnings as warnings

SECTIONS: tuple[Callable[[SummaryLike], Section | None], ...] = (
    likelihood_section,
    samples_section,
    truth_section,
    training_section,
    chains_section,
    reproduce_section,
)

__all__ = [
    "SECTIONS",
    "cards",
    "data_name",
    "how_it_was_trained",
    "model_name",
    "verdict",
    "warnings",
    "what_was_fitted",
]
