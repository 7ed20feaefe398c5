"""Energies with a formula: test targets with known answers."""
