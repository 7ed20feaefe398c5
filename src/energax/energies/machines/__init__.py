"""Boltzmann machines: energies with hidden units."""
