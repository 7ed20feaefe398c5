"""Studies: many runs under one question, resumable, with one table at the end."""

from energax.studies._compare import Compared as Compared
from energax.studies._compare import compare as compare
from energax.studies._markdown import markdown as markdown
from energax.studies._markdown import words_table as words_table
from energax.studies._plan import Comparison as Comparison
from energax.studies._plan import is_study as is_study
from energax.studies._plan import load_plan as load_plan
from energax.studies._plan import plan_comparison as plan_comparison
from energax.studies._words import WORDS as WORDS
from energax.studies._words import Words as Words

__all__ = [
    "WORDS",
    "Compared",
    "Comparison",
    "Words",
    "compare",
    "is_study",
    "load_plan",
    "markdown",
    "plan_comparison",
    "words_table",
]
