"""Studies: many runs under one question, resumable, with one table at the end."""

from energax.studies._compare import Compared as Compared
from energax.studies._compare import compare as compare
from energax.studies._families import FAMILIES as FAMILIES
from energax.studies._family import Family as Family
from energax.studies._family import Recipe as Recipe
from energax.studies._in_turn import AbstractCompared as AbstractCompared
from energax.studies._in_turn import Progress as Progress
from energax.studies._markdown import markdown as markdown
from energax.studies._markdown import words_table as words_table
from energax.studies._models import ComparedModels as ComparedModels
from energax.studies._models import compare_models as compare_models
from energax.studies._models import shown_arrays as shown_arrays
from energax.studies._models_plan import ModelComparison as ModelComparison
from energax.studies._models_plan import plan_models as plan_models
from energax.studies._plan import Comparison as Comparison
from energax.studies._plan import plan_comparison as plan_comparison
from energax.studies._uncertainty import Uncertainty as Uncertainty
from energax.studies._uncertainty import uncertainty as uncertainty
from energax.studies._uncertainty_plan import UncertaintyPlan as UncertaintyPlan
from energax.studies._uncertainty_plan import plan_uncertainty as plan_uncertainty
from energax.studies._words import WORDS as WORDS
from energax.studies._words import Words as Words
from energax.studies._yardstick import SAMPLE_METRICS as SAMPLE_METRICS

__all__ = [
    "FAMILIES",
    "SAMPLE_METRICS",
    "WORDS",
    "AbstractCompared",
    "Compared",
    "ComparedModels",
    "Comparison",
    "Family",
    "ModelComparison",
    "Progress",
    "Recipe",
    "Uncertainty",
    "UncertaintyPlan",
    "Words",
    "compare",
    "compare_models",
    "markdown",
    "plan_comparison",
    "plan_models",
    "plan_uncertainty",
    "shown_arrays",
    "uncertainty",
    "words_table",
]
