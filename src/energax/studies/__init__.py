"""Studies: many runs under one question, resumable, with one table at the end."""

from energax.studies._compare import Compared as Compared
from energax.studies._compare import compare as compare
from energax.studies._markdown import markdown as markdown
from energax.studies._markdown import words_table as words_table
from energax.studies._plan import Comparison as Comparison
from energax.studies._plan import plan_comparison as plan_comparison
from energax.studies._stored import AbstractPlan as AbstractPlan
from energax.studies._uncertainty import Uncertainty as Uncertainty
from energax.studies._uncertainty import uncertainty as uncertainty
from energax.studies._uncertainty_plan import UncertaintyPlan as UncertaintyPlan
from energax.studies._uncertainty_plan import plan_uncertainty as plan_uncertainty
from energax.studies._words import WORDS as WORDS
from energax.studies._words import Words as Words

__all__ = [
    "WORDS",
    "AbstractPlan",
    "Compared",
    "Comparison",
    "Uncertainty",
    "UncertaintyPlan",
    "Words",
    "compare",
    "markdown",
    "plan_comparison",
    "plan_uncertainty",
    "uncertainty",
    "words_table",
]
