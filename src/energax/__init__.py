"""energax: energy-based models in JAX."""
