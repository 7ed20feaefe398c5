"""The pictures of the page: inline SVG in CSS roles, and PNG where a picture is made of pixels."""

from energax.report.figures._curves import Mark as Mark
from energax.report.figures._curves import Series as Series
from energax.report.figures._curves import energy_trace as energy_trace
from energax.report.figures._curves import learning_curve as learning_curve
from energax.report.figures._ends import likelihood_charts as likelihood_charts
from energax.report.figures._ends import mode_mass_chart as mode_mass_chart
from energax.report.figures._histograms import Sample as Sample
from energax.report.figures._histograms import correlation_scatter as correlation_scatter
from energax.report.figures._histograms import energy_histograms as energy_histograms
from energax.report.figures._histograms import marginal as marginal
from energax.report.figures._log_z_curve import log_z_curve as log_z_curve
from energax.report.figures._nodes import graph_drawing as graph_drawing
from energax.report.figures._nodes import roc_curves as roc_curves
from energax.report.figures._nodes import split_histogram as split_histogram
from energax.report.figures._pictures import Map as Map
from energax.report.figures._pictures import density_map as density_map
from energax.report.figures._pictures import image_grid as image_grid
from energax.report.figures._pictures import image_pairs as image_pairs
from energax.report.figures._pictures import image_rows as image_rows
from energax.report.figures._runs import runs_chart as runs_chart
from energax.report.figures._work import WorkCurve as WorkCurve
from energax.report.figures._work import crooks_line as crooks_line
from energax.report.figures._work import work_along as work_along
from energax.report.figures._work import work_histograms as work_histograms

__all__ = [
    "Map",
    "Mark",
    "Sample",
    "Series",
    "WorkCurve",
    "correlation_scatter",
    "crooks_line",
    "density_map",
    "energy_histograms",
    "energy_trace",
    "graph_drawing",
    "image_grid",
    "image_pairs",
    "image_rows",
    "learning_curve",
    "likelihood_charts",
    "log_z_curve",
    "marginal",
    "mode_mass_chart",
    "roc_curves",
    "runs_chart",
    "split_histogram",
    "work_along",
    "work_histograms",
]
