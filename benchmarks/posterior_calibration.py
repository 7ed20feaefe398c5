"""A VAE whose encoder keeps up with refined latents, beside the same one trained on by its bound.

Run with `python benchmarks/posterior_calibration.py 25gaussians --seed 0`; it prints rows of a table of docs/ec_vae.md.
All start from the same pretrained autoencoder. `share` is the effective share of 512 importance weights of a test row:
1 if the encoder is the exact posterior. Seconds are of the processor, compilation included.
"""

import argparse
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from energax import data, estimators, generative, systems, training

SAMPLES, BATCH = 512, 128


def trained(model, objective, rows, seed, num_steps):
    begun = time.process_time()
    learner = training.Learner(model, objective, optimizer=optax.adam(1e-3), ema_decay=0.99)
    run = training.fit(learner, rows, key=jax.random.key(seed), num_steps=num_steps, batch_size=BATCH)
    return run, time.process_time() - begun


@eqx.filter_jit
def log_weights(model, rows, key):
    def of_row(given):
        x, k = given
        return jax.vmap(lambda eps: model.log_weight(x, eps))(jax.random.normal(k, (SAMPLES, model.latent_dim)))

    return jax.lax.map(of_row, (rows, jax.random.split(key, len(rows))))


def judged(model, rows):
    """Evidence lower bound, importance-weighted bound, and the effective share of the weights."""
    found = np.asarray(log_weights(model, rows, jax.random.key(5)), np.float64)
    tight = np.mean([estimators.log_mean_exp(row) for row in found])
    share = np.mean([estimators.ess_from_log_weights(row) for row in found]) / SAMPLES
    return found.mean(), tight, share


def one(name, seed, before, more, latent):
    sets = data.load(name, seed=seed) if name == "25gaussians" else data.load(name)
    test = jnp.asarray(np.asarray(sets.test.array())[:1000])
    vae = generative.VAE(sets.space, latent_dim=latent, hidden=(64, 64), key=jax.random.key(seed))
    pretrained = trained(vae, generative.ELBO(), sets.train, seed, before)[0]
    first = pretrained.energy
    methods = {
        "pretrained": (None, 0),
        "ELBO": (generative.ELBO(), more),
        "ELBO, 4 times as long": (generative.ELBO(), 4 * more),
        "calibrated encoder": (systems.PosteriorCalibration(refined_decoder=False), more),
        "calibrated, refined decoder": (systems.PosteriorCalibration(), more),
    }
    for method, (objective, num_steps) in methods.items():
        run, seconds = pretrained, 0.0
        if objective is not None:
            run, seconds = trained(first, objective, sets.train, seed + 100, num_steps)
        bound, tight, share = judged(run.energy, test)
        last = run.history[-1]
        ratio = f"{last['latents_over_noise']:.2f}" if "latents_over_noise" in last else ""
        told = f"{bound:.3f} | {tight:.3f} | {tight - bound:.3f} | {100 * share:.1f} | {ratio} | {seconds:.0f}"
        print(f"| {name} {seed} | {method} | {told} |", flush=True)


if __name__ == "__main__":
    asked = argparse.ArgumentParser()
    asked.add_argument("data")
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--before", type=int, default=3_000)
    asked.add_argument("--more", type=int, default=1_000)
    asked.add_argument("--latent", type=int, default=2)
    options = asked.parse_args()
    one(options.data, options.seed, options.before, options.more, options.latent)
