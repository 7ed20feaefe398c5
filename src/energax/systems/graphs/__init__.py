"""Nodes of graphs: networks, shifts, and the uncertainty of their predictions."""
