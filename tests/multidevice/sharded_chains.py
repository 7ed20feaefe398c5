"""Runs on eight devices made of one processor, and prints what the tests look at as JSON.

A process of its own, because the number of devices is fixed when JAX begins.
"""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from energax import energies, kernels, sampling
from energax.sampling import _sample
from energax.sampling._starts import placed_like

COLLECTIVES = re.compile(r"all-gather|all-reduce|collective-permute|all-to-all|reduce-scatter|collective-broadcast")
NUM_CHAINS = 16

RBM = energies.RBM(12, 8, scale=1.0, key=jax.random.key(3))
ISING = energies.Ising((4, 4), coupling=0.4, field=0.1)
WELL = energies.DoubleWell(3, barrier=2.0, tilt=0.5)
CASES = {
    "rbm": (RBM, kernels.BlockGibbs(), (2, 8)),
    "ising": (ISING, kernels.HeatBath(), (2, 8)),
    # Parameters whose sums over 256 sites are exact: the order of a sum depends on the size of the block of chains.
    "packed": (energies.Ising(16, coupling=0.375, field=0.125), kernels.BlockGibbs(), (2, 8)),
    "well": (WELL, kernels.MALA(0.05), (8,)),
}


def identity(x):
    return x


def spread(x, num_devices):
    """The chains in equal blocks over the first devices."""
    mesh = Mesh(np.asarray(jax.devices()[:num_devices]), ("chains",))
    return jax.device_put(x, NamedSharding(mesh, PartitionSpec("chains")))


def run(name):
    energy, kernel, counts_of_devices = CASES[name]
    x0 = sampling.starts(energies.observed_space(energy), None, NUM_CHAINS, key=jax.random.key(1))
    key = jax.random.key(2)
    options = {"num_steps": 32, "num_warmup": 4, "key": key, "save": identity, "accumulators": {"x": sampling.Mean()}}
    plain = sampling.sample(energy, kernel, x0, **options)
    out = {}
    for num_devices in counts_of_devices:
        one = sampling.sample(energy, kernel, spread(x0, num_devices), **options)
        out[f"equal-{num_devices}"] = all(
            np.asarray(a).tobytes() == np.asarray(b).tobytes()
            for a, b in ((one.x, plain.x), (one.energy, plain.energy), (one.last, plain.last))
        )
        out[f"close-{num_devices}"] = float(np.max(np.abs(one.x[:, 0] - plain.x[:, 0])))
        out[f"mean-{num_devices}"] = float(np.max(np.abs(one.accumulated["x"] - plain.accumulated["x"])))
    x = spread(x0, 8)
    keys = placed_like(jax.random.split(key, NUM_CHAINS), x)
    carry, _ = _sample._begin(energy, kernel, x, keys, jnp.asarray(4), None)
    counts = jnp.asarray([0, 16, 1])
    compiled = _sample._run.lower(energy, kernel, carry, {}, keys, counts, 16, identity, {}, None).compile()
    text = compiled.compiled.as_text()
    out["collectives"] = sorted(set(COLLECTIVES.findall(text)))
    shape = next(iter(jax.tree.leaves(carry))).shape
    out["partitioned"] = f"[{NUM_CHAINS // 8},{shape[1]}" in text and f"[{NUM_CHAINS},{shape[1]}" not in text
    out["devices"] = len(jax.tree.leaves(carry)[0].sharding.device_set)
    return out


if __name__ == "__main__":
    print(json.dumps({"num_devices": jax.device_count(), **{name: run(name) for name in CASES}}))
