"""Energies that are sums of tables over few variables each."""
