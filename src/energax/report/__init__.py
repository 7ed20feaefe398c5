"""One HTML page for each run, and the tables that the page and the terminal share."""

from energax.report import tables as tables
from energax.report._page import write as write
from energax.report._summary import SummaryLike as SummaryLike

__all__ = ["SummaryLike", "tables", "write"]
