"""25 Gaussians: an autoencoder at its best validation bound, the same one calibrated, and the same one with an energy.

Run with `python benchmarks/ec_vae.py --seeds 3`; it prints a table for docs/ec_vae.md. All start from one pretrained
autoencoder and have as many updates more, and all are judged by draws of their law, the decoder's noise included. The
energy of the VAEBM is the same network as that which calibrates; it is trained with chains of 20 steps in the noise of
the autoencoder, and draws with as many, or with five times as many.
"""

import argparse
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from energax import data, energies, estimators, generative, kernels, systems, training

HIDDEN, BATCH, PIECES = (64, 64), 128, 6
CHAIN, STEP, ENERGY_L2 = 20, 0.3, 0.1
ADAM, GAME = optax.adam(1e-3), optax.adam(1e-3, b1=0.0, b2=0.9)


def trained(learner, rows, seed, num_steps):
    run = training.fit(learner, rows, key=jax.random.key(seed), num_steps=num_steps, batch_size=BATCH)
    if run.interrupted:
        raise KeyboardInterrupt
    return run


def bound(model, rows):
    keys = jax.random.split(jax.random.key(3), len(rows))
    return float(jnp.mean(_bounds(model, jnp.asarray(rows), keys)))


@eqx.filter_jit
def _bounds(model, rows, keys):
    return jax.vmap(lambda x, k: model.log_likelihood(x, key=k))(rows, keys)


@eqx.filter_jit
def _draws(model, keys):
    return jax.vmap(lambda k: model.draw(key=k))(keys)


def judged(model, law):
    """Share of the draws within four standard deviations of a mode, sliced Wasserstein distance, and µs a draw.

    The distance is that of 20,000 draws from as many of the law: 0.03 to 0.06 are chance, 0.06 to 0.07 with 5,000.
    """
    keys, fresh_keys = (jax.random.split(jax.random.key(number), 20_000) for number in (9, 10))
    fresh = np.asarray(jax.vmap(lambda key: law.draw(key=key))(fresh_keys))
    draws = np.asarray(_draws(model, keys))
    begun = time.perf_counter()
    _draws(model, keys).block_until_ready()
    took = 1e6 * (time.perf_counter() - begun) / len(keys)
    away = np.linalg.norm(draws[:, None] - np.asarray(law.means), axis=-1).min(axis=1)
    distance = estimators.sliced_wasserstein(draws, fresh, num_permutations=0)
    return float(np.mean(away < 4 * float(law.scales[0]))), float(distance.value), took


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
        ema_decay=0.999,
    )
    begun = time.perf_counter()
    calibrated = trained(learner, sets.train, seed + 200, more).energy
    seconds.append(time.perf_counter() - begun)
    joint = systems.VAEBM(first, energy, num_steps=CHAIN, kernel=kernels.MALA(STEP))
    learner = training.Learner(joint, systems.VAEBMLikelihood(ENERGY_L2), optimizer=GAME, ema_decay=0.99)
    begun = time.perf_counter()
    short = trained(learner, sets.train, seed + 300, more).energy
    seconds.append(time.perf_counter() - begun)
    long = systems.VAEBM(short.vae, short.energy, num_steps=5 * CHAIN, kernel=short.kernel)
    models = {"pretrained": first, "VAE": best[1], "EC-VAE": calibrated, "VAEBM": short, "VAEBM, long chains": long}
    for (name, made), spent in zip(models.items(), [0.0, *seconds, 0.0], strict=True):
        share, distance, took = judged(made, sets.density)
        told = "none" if made.likelihood == "none" else f"{bound(made, test):.3f}"
        numbers = f"{100 * share:.1f} | {distance:.3f} | {told} | {spent:.0f} | {made.draw_evaluations} | {took:.1f}"
        print(f"| {seed} | {name} | {numbers} |", flush=True)


if __name__ == "__main__":
    asked = argparse.ArgumentParser()
    asked.add_argument("--seeds", type=int, default=3)
    asked.add_argument("--first", type=int, default=0)
    asked.add_argument("--before", type=int, default=6_000)
    asked.add_argument("--more", type=int, default=3_000)
    options = asked.parse_args()
    print(
        "| seed | model | on a mode, % | sliced Wasserstein | bound, nats | seconds | networks a draw | µs a draw |"
        "\n|---|---|---|---|---|---|---|---|"
    )
    for number in range(options.first, options.first + options.seeds):
        one(number, options.before, options.more)
