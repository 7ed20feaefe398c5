"""Trains a machine on binary images for so many seconds, by persistent CD or along the trajectory."""

import json
import sys
import time

import jax
import numpy as np
import optax

import energax as ex

a = json.loads(sys.argv[1])
with np.load(a["data"]) as stored:
    data = stored["train"].reshape(len(stored["train"]), -1).astype(np.int8)
rbm = ex.energies.RBM(data.shape[1], a["hidden"], visible_mean=data.mean(0), key=jax.random.key(a["seed"]))
kernel = ex.kernels.BlockGibbs()
objective = {
    "persistent": lambda: ex.objectives.PersistentCD(kernel, num_chains=a["chains"]),
    "trajectory": lambda: ex.objectives.TrajectoryPCD(kernel, num_chains=a["chains"], num_models=a["models"]),
}[a["objective"]]()
PILOT = 300


def train(num_steps, max_seconds, directory=None, hooks=()):
    """A run whose learning rate falls to nothing at its last update; what it passes at powers of two is kept."""
    optimizer = optax.chain(
        ex.training.centred_gradient(data.mean(0)),
        optax.add_decayed_weights(a["weight_decay"], mask=lambda rbm: jax.tree.map(lambda leaf: leaf.ndim == 2, rbm)),
        optax.sgd(optax.linear_schedule(a["learning_rate"], 0.0, num_steps)),
    )
    learner = ex.Learner(rbm, objective, optimizer=optimizer, ema_decay=0.999)
    options = {"batch_size": a["batch"], "max_seconds": max_seconds, "recovery": None, "hooks": hooks}
    kept = {} if directory is None else {"directory": directory, "keep_doublings": True}
    return ex.fit(learner, data, key=jax.random.key(a["seed"] + 1), num_steps=num_steps, **options, **kept)


class Clock:
    """Updates a second between the last two lines of the log."""

    def on_log(self, step, metrics):
        self.speed = metrics["steps_per_second"]


begin, clock = time.perf_counter(), Clock()
train(PILOT, None, hooks=(clock,))
left = a["seconds"] - (time.perf_counter() - begin)
done = train(int(clock.speed * left), left, directory=a["out"].removesuffix(".npz"))
seconds = time.perf_counter() - begin
parameters = (done.energy.weights, done.energy.visible_bias, done.energy.hidden_bias)
np.savez(a["out"], *map(np.asarray, parameters))
print(json.dumps({"updates": int(done.step), "seconds": seconds}))
