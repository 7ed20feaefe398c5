"""One benchmark a module: NAME and run()."""
