"""Calibration of generators by an energy (EC-VAE), and VAEBM, which keeps the energy when it draws."""
