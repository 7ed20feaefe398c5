"""Energies that are neural networks."""
