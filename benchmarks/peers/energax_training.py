"""Training steps of energax: `fit` with all that it does at each step, on the network of `torchebm_training.py`."""

import json
import resource
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

import energax as ex
from energax import densities, objectives

OBJECTIVES = {
    "CD-10": lambda: objectives.ContrastiveDivergence(ex.kernels.ULA(1e-2), 10),
    "denoising": lambda: objectives.DenoisingScoreMatching(0.1, num_copies=1),
    "sliced": lambda: objectives.SlicedScoreMatching(5),
    "exact": lambda: objectives.ScoreMatching(),
}


def peak():
    """The most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def excess(objective, dim):
    """How far the loss of E = 1.5 ‖x‖²/2 is from ½ 1.5² ‖x‖² − 1.5 d, for objectives that are that loss."""
    law = densities.Gaussian(jnp.zeros(dim), 1 / 1.5)
    x = jnp.asarray(np.random.default_rng(1).normal(size=(64, dim)), jnp.float32)
    found = objective.loss(law, x, None, key=jax.random.key(0))[0]
    return float(found - (jnp.mean(0.5 * 2.25 * jnp.sum(x**2, axis=1)) - 1.5 * dim))


a = json.loads(sys.argv[1])
batch, dim, objective = a["batch"], a["dim"], OBJECTIVES[a["objective"]]()
data = np.random.default_rng(0).normal(size=(8 * batch, dim)).astype(np.float32)
jax.block_until_ready(jnp.zeros(1))
imported = peak()
energy = ex.energies.MLP(dim, hidden=(128, 128), activation="silu", key=jax.random.key(0))
learner = ex.Learner(energy, objective, optimizer=optax.adam(1e-3))


def train(count):
    """Seconds of so many steps."""
    begin = time.perf_counter()
    run = ex.fit(learner, data, key=jax.random.key(1), num_steps=count, batch_size=batch, recovery=None, log_every=50)
    jax.block_until_ready(run.state.step)
    return time.perf_counter() - begin


compiled = train(51)
# The difference of two lengths, so that beginning and ending a run do not count.
seconds = [(train(3 * a["repeats"]) - train(a["repeats"])) / (2 * a["repeats"]) for _ in range(2)]
found = {"seconds": min(seconds), "compile seconds": compiled, "memory": peak() - imported}
print(json.dumps({**found, "excess": excess(objective, dim) if a["objective"] in ("exact", "sliced") else 0.0}))
