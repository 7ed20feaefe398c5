"""Checkerboard heat bath of a periodic Ising lattice with THRML or hamon, timed after a first call."""

import importlib
import json
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

a = json.loads(sys.argv[1])
library = importlib.import_module(a["library"])
ising = importlib.import_module(a["library"] + ".models.ising")


def sampler(length, beta, chains, sweeps):
    """A function of a key that gives the last configurations, (chains, length, length), and their start."""
    nodes = [[library.SpinNode() for _ in range(length)] for _ in range(length)]
    flat = [node for row in nodes for node in row]
    edges = [(nodes[i][j], nodes[(i + 1) % length][j]) for i in range(length) for j in range(length)]
    edges += [(nodes[i][j], nodes[i][(j + 1) % length]) for i in range(length) for j in range(length)]
    model = ising.IsingEBM(flat, edges, jnp.zeros(len(flat)), jnp.ones(len(edges)), jnp.asarray(beta))
    colours = [
        library.Block([nodes[i][j] for i in range(length) for j in range(length) if (i + j) % 2 == colour])
        for colour in (0, 1)
    ]
    program = ising.IsingSamplingProgram(model, colours, [])
    schedule = library.SamplingSchedule(sweeps, 1, 1)
    start = [jnp.ones((chains, length * length // 2), bool) for _ in colours]
    whole = [library.Block(flat)]
    if a["library"] == "hamon":

        def run(key):
            return library.sample_states_batched(key, program, schedule, start, [], whole)[0]

    else:
        one = jax.jit(jax.vmap(lambda key, s: library.sample_states(key, program, schedule, s, [], whole)[0]))

        def run(key):
            return one(jax.random.split(key, chains), start)

    return lambda key: np.asarray(run(key)).reshape(chains, -1, length, length)[:, -1]


def energy_per_site(spins):
    s = 2.0 * spins - 1
    return -(s * np.roll(s, 1, 1) + s * np.roll(s, 1, 2)).mean((1, 2))


energies = energy_per_site(sampler(a["gate"]["length"], a["gate"]["beta"], a["gate"]["chains"], a["gate"]["sweeps"])(
    jax.random.key(1)
))  # fmt: skip
run = sampler(a["length"], a["beta"], a["chains"], a["sweeps"])
begin = time.perf_counter()
run(jax.random.key(2))
first = time.perf_counter() - begin
begin = time.perf_counter()
run(jax.random.key(3))
seconds = time.perf_counter() - begin
flips = a["chains"] * a["length"] ** 2 * a["sweeps"]
print(json.dumps({
    "flips_per_ns": flips / seconds / 1e9, "compile_seconds": first - seconds,
    "gate_mean": float(energies.mean()), "gate_stderr": float(energies.std(ddof=1) / len(energies) ** 0.5),
}))  # fmt: skip
