"""25 Gaussians: an autoencoder at its best validation bound beside the same one, calibrated for as many updates.

Run with `python benchmarks/ec_vae.py --seeds 3`; it prints a table for docs/ec_vae.md. Both start from the same
pretrained autoencoder of the same networks, and both are judged by draws of their law, the decoder's noise included.
"""

import argparse
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from energax import data, energies, estimators, generative, systems, training

HIDDEN, BATCH, PIECES = (64, 64), 128, 6
ADAM, GAME = optax.adam(1e-3), optax.adam(1e-3, b1=0.0, b2=0.9)


def trained(learner, rows, seed, num_steps):
    return training.fit(learner, rows, key=jax.random.key(seed), num_steps=num_steps, batch_size=BATCH)


def bound(model, rows):
    keys = jax.random.split(jax.random.key(3), len(rows))
    return float(jnp.mean(_bounds(model, jnp.asarray(rows), keys)))


@eqx.filter_jit
def _bounds(model, rows, keys):
    return jax.vmap(lambda x, k: model.log_likelihood(x, key=k))(rows, keys)


@eqx.filter_jit
def _draws(model, keys):
    return jax.vmap(lambda k: model.draw(key=k))(keys)


def judged(model, law, test):
    """Share of the draws within four standard deviations of a mode, and the sliced Wasserstein distance."""
    draws = np.asarray(_draws(model, jax.random.split(jax.random.key(9), 20_000)))
    away = np.linalg.norm(draws[:, None] - np.asarray(law.means), axis=-1).min(axis=1)
    distance = estimators.sliced_wasserstein(draws[:5000], test[:5000])
    return float(np.mean(away < 4 * float(law.scales[0]))), float(distance.value)


def one(seed, before, more):
    sets = data.load("25gaussians", seed=seed)
    test, valid = np.asarray(sets.test.array()), np.asarray(sets.valid.array())
    vae = generative.VAE(sets.space, latent_dim=2, hidden=HIDDEN, key=jax.random.key(seed))
    first = trained(
        training.Learner(vae, generative.ELBO(), optimizer=ADAM, ema_decay=0.999), sets.train, seed, before
    ).energy
    begun, best, model = time.perf_counter(), (bound(first, valid), first), first
    for piece in range(PIECES):
        learner = training.Learner(model, generative.ELBO(), optimizer=ADAM, ema_decay=0.99)
        model = trained(learner, sets.train, seed + 100 + piece, more // PIECES).energy
        best = max(best, (bound(model, valid), model), key=lambda pair: pair[0])
    seconds = [time.perf_counter() - begun]
    waves = energies.FourierFeatures(2, num_features=64, frequency=2.0, scale=2.0, key=jax.random.key(7))
    energy = energies.MLP(sets.space, hidden=HIDDEN, confinement=None, features=waves, key=jax.random.key(8))
    move = systems.Refinement.scaled(systems.spread(sets.train), num_steps=5, noise=0.05, temperature=3e-3)
    rule = systems.Calibration(move, max_multiplier=1.0)
    learner = systems.CalibrationLearner(
        systems.Calibrated(first, energy, noise=True),
        generative.ELBO(),
        rule,
        optimizer=ADAM,
        energy_optimizer=GAME,
        ema_decay=0.99,
    )
    begun = time.perf_counter()
    calibrated = trained(learner, sets.train, seed + 200, more).energy
    seconds.append(time.perf_counter() - begun)
    for name, made in (("pretrained", first), ("VAE", best[1]), ("EC-VAE", calibrated)):
        share, distance = judged(made, sets.density, test)
        took = {"VAE": seconds[0], "EC-VAE": seconds[1]}.get(name, 0.0)
        told = f"{100 * share:.1f} | {distance:.3f} | {bound(made, test):.3f} | {took:.0f}"
        print(f"| {seed} | {name} | {told} |", flush=True)


if __name__ == "__main__":
    asked = argparse.ArgumentParser()
    asked.add_argument("--seeds", type=int, default=3)
    asked.add_argument("--first", type=int, default=0)
    asked.add_argument("--before", type=int, default=6_000)
    asked.add_argument("--more", type=int, default=3_000)
    options = asked.parse_args()
    print(
        "| seed | model | on a mode, % | sliced Wasserstein | test bound, nats | seconds |\n|---|---|---|---|---|---|"
    )
    for number in range(options.first, options.first + options.seeds):
        one(number, options.before, options.more)
