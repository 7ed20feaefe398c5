"""Energies on regular lattices."""
