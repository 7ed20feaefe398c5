"""MNIST and Fashion-MNIST: one pretrained autoencoder, then as many updates more of its own or with calibration.

Run with `python benchmarks/ec_vae_images.py mnist fashion-mnist --seeds 3`; it prints the table of docs/ec_vae.md.
Networks, rates and calibration are those of `energax fit DATA --model ec-vae`. All three are judged by the means that
draws of their latent stand for, one network call each, in the features of the set's classifier: 5,000 of them beside
5,000 test rows. The bound is the importance-weighted one of 300 test rows. What has been made is not made again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from energax import evaluation, generative, runs, systems, training

NUM_DRAWS, NUM_BOUNDED = 5_000, 300
SCORES = ("frechet", "precision", "recall", "density", "coverage")
HEAD = "| data | seed | model | Fréchet | precision | recall | density | coverage | bound, nats | seconds |"


@eqx.filter_jit
def _means(model: Any, keys: jax.Array) -> jax.Array:
    return jax.lax.map(lambda key: model.decode(model.draw_latent(key=key)), keys, batch_size=250)


@eqx.filter_jit
def _bounds(model: Any, rows: jax.Array, keys: jax.Array) -> jax.Array:
    return jax.lax.map(lambda pair: model.log_likelihood(pair[0], key=pair[1]), (rows, keys), batch_size=20)


def judged(model: Any, data: Any, network: evaluation.TrainedFeatures) -> dict[str, float]:
    means = _means(model, jax.random.split(jax.random.key(9), NUM_DRAWS))
    pictures = data.transform.inverse(np.asarray(means))
    rows = data.test.take(np.arange(NUM_DRAWS))
    found = evaluation.feature_quality(network, pictures, data.transform.inverse(rows))
    bounds = _bounds(model, jnp.asarray(rows[:NUM_BOUNDED]), jax.random.split(jax.random.key(3), NUM_BOUNDED))
    fidelity = {name: getattr(found.fidelity, name).value for name in SCORES[1:]}
    return {"frechet": found.frechet.value, **fidelity, "bound": float(jnp.mean(bounds))}


def one(name: str, seed: int, before: int, more: int) -> dict[str, dict[str, float]]:
    """The three models of one seed."""
    config, data = runs.plan(name, model="ec-vae", binarize="none", seed=seed)
    network = evaluation.feature_network(name)
    model = runs.build_energy(config.model, data, key=jax.random.key(seed))
    rule = dataclasses.replace(runs.build_generative_objective(config.objective, data), pretrain=0)
    found: dict[str, dict[str, float]] = {}

    def trained(learner: training.AbstractLearner, num_steps: int, number: int) -> tuple[Any, float]:
        def fit(steps: int) -> Any:
            key = jax.random.key(100 * seed + number)
            run = training.fit(learner, data.train, key=key, num_steps=steps, batch_size=config.training.batch_size)
            if run.interrupted:
                raise KeyboardInterrupt
            return run.energy

        fit(3)  # compiles
        begun = time.perf_counter()
        return fit(num_steps), time.perf_counter() - begun

    def rates(num_steps: int) -> Any:
        return runs.optimizer(dataclasses.replace(config.training, num_steps=num_steps), data)

    alone = {"objective": generative.ELBO(), "ema_decay": config.training.ema_decay}
    first, seconds = trained(training.Learner(model.generator, optimizer=rates(before), **alone), before, 0)
    found["pretrained"] = {**judged(first, data, network), "seconds": seconds}
    further, seconds = trained(training.Learner(first, optimizer=rates(more), **alone), more, 1)
    found["VAE"] = {**judged(further, data, network), "seconds": seconds}
    both = systems.CalibrationLearner(
        eqx.tree_at(lambda m: m.generator, model, first),
        generative.ELBO(),
        rule,
        optimizer=rates(more),
        energy_optimizer=optax.adam(config.objective["critic_rate"], b1=0.0, b2=0.9),
        ema_decay=config.training.ema_decay,
    )
    calibrated, seconds = trained(both, more, 2)
    found["EC-VAE"] = {**judged(calibrated, data, network), "seconds": seconds}
    return found


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("data", nargs="+", choices=("mnist", "fashion-mnist"))
    asked.add_argument("--seeds", type=int, default=3)
    asked.add_argument("--before", type=int, default=6_000)
    asked.add_argument("--more", type=int, default=2_000)
    asked.add_argument("--out", type=Path, default=Path("runs/ec-vae-images"))
    options = asked.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    print(f"{HEAD}\n{'|---' * 10}|")
    for seed in range(options.seeds):
        for name in options.data:
            path = options.out / f"{name}-{options.before}-{options.more}-{seed}.json"
            if not path.exists():
                path.write_text(json.dumps(one(name, seed, options.before, options.more)) + "\n")
            for model, row in json.loads(path.read_text()).items():
                numbers = " | ".join(f"{row[score]:.3f}" for score in SCORES[1:])
                told = f"{row['frechet']:.1f} | {numbers} | {row['bound']:.0f} | {row['seconds']:.0f}"
                print(f"| {name} | {seed} | {model} | {told} |", flush=True)


if __name__ == "__main__":
    main()
