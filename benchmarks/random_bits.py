"""Time of random numbers: the fast generator beside threefry and rbg, in one run.

    python benchmarks/random_bits.py            # a table
    python benchmarks/random_bits.py --json     # one JSON object
    python benchmarks/random_bits.py --seconds 3

Every case is compiled first, and its compile time told apart. Then the cases take turns, so that a slow second of the
machine falls on all of them, and the least time of each counts. Times are per number, except for the Langevin step.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from energax.random import FAST_SPEC, normal

GENERATORS: dict[str, Any] = {"threefry2x32": "threefry2x32", "rbg": "rbg", "energax_fast1": FAST_SPEC}
SHAPES = ((1024, 128), (1_000_000,))
CHAINS, NUMBERS = 4096, 8
STEPS = 20

Draw = Callable[[jax.Array, tuple[int, ...]], jax.Array]


def energax_normal(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return normal(shape, jnp.float32, key=key)


DRAWS: dict[str, Draw] = {
    "uint32": jax.random.bits,
    "uniform": jax.random.uniform,
    "normal": jax.random.normal,
    "energax.normal": energax_normal,
}


@dataclass
class Case:
    name: str
    generator: str
    function: Callable[..., jax.Array]
    arguments: tuple[jax.Array, ...]
    items: int
    unit: str = "ns/number"
    compile_s: float = 0.0
    seconds: float = field(default=float("inf"))

    def prepare(self) -> None:
        start = time.perf_counter()
        self.function = jax.jit(self.function).lower(*self.arguments).compile()
        self.compile_s = time.perf_counter() - start
        jax.block_until_ready(self.function(*self.arguments))

    def run(self) -> None:
        start = time.perf_counter()
        jax.block_until_ready(self.function(*self.arguments))
        self.seconds = min(self.seconds, time.perf_counter() - start)

    @property
    def result(self) -> float:
        return self.seconds / self.items * (1e3 if self.unit == "ms/step" else 1e9)


def draws(generator: str, key: jax.Array) -> list[Case]:
    cases = []
    for shape in SHAPES:
        for name, draw in DRAWS.items():
            label = f"{name} {'x'.join(map(str, shape))}"
            cases.append(Case(label, generator, lambda k, d=draw, s=shape: d(k, s), (key,), int(np.prod(shape))))
    return cases


def small_draws(generator: str, key: jax.Array) -> list[Case]:
    """What one step of many chains costs: fold in the step, split, and draw a few numbers from each of two keys."""

    def step(keys: jax.Array, number: jax.Array, draw: Draw) -> jax.Array:
        def chain(k: jax.Array) -> jax.Array:
            move, decide = jax.random.split(jax.random.fold_in(k, number))
            return jnp.where(jax.random.uniform(decide) < 0.5, 1.0, -1.0) * draw(move, (NUMBERS,))

        return jax.vmap(chain)(keys)

    arguments = (jax.random.split(key, CHAINS), jnp.int32(3))
    return [
        Case(
            f"{name}, chain steps {CHAINS}x{NUMBERS}",
            generator,
            lambda k, n, d=DRAWS[name]: step(k, n, d),
            arguments,
            CHAINS * NUMBERS,
        )
        for name in ("uniform", "normal", "energax.normal")
    ]


def langevin(generator: str, key: jax.Array) -> list[Case]:
    """Langevin steps on E(x) = Σ (x² - 1)², with one key for all chains, and with a key for each."""
    h = np.float32(0.01)
    noise = np.float32(np.sqrt(2 * h))

    def moved(x: jax.Array, z: jax.Array) -> jax.Array:
        return x - h * 4 * x * (x * x - 1) + noise * z

    def together(x: jax.Array, key: jax.Array, draw: Draw) -> jax.Array:
        steps = jnp.arange(STEPS)
        return jax.lax.scan(lambda x, i: (moved(x, draw(jax.random.fold_in(key, i), x.shape)), None), x, steps)[0]

    def apart(x: jax.Array, keys: jax.Array, draw: Draw) -> jax.Array:
        return jax.vmap(lambda x, k: together(x, k, draw))(x, keys)

    x = jnp.zeros((1024, 128))
    keys = jax.random.split(key, 1024)
    cases = []
    for name in ("normal", "energax.normal"):
        for label, loop, k in (("one key", together, key), ("a key each", apart, keys)):
            title = f"Langevin 1024x128, {name}, {label}"
            cases.append(
                Case(title, generator, lambda x, k, f=loop, d=DRAWS[name]: f(x, k, d), (x, k), STEPS, "ms/step")
            )
    return cases


def measure(seconds: float) -> list[Case]:
    cases = []
    for generator, impl in GENERATORS.items():
        key = jax.random.key(0, impl=impl)
        cases += draws(generator, key) + small_draws(generator, key) + langevin(generator, key)
    for case in cases:
        case.prepare()
    end = time.perf_counter() + seconds * len(cases)
    while time.perf_counter() < end:
        for case in cases:
            for _ in range(3):
                case.run()
    return cases


def table(cases: list[Case]) -> str:
    names = list(dict.fromkeys(case.name for case in cases))
    lines = [f"{'':48s}" + "".join(f"{g:>15s}" for g in GENERATORS) + f"{'compile (s)':>22s}"]
    for name in names:
        row = [case for case in cases if case.name == name]
        numbers = "".join(f"{case.result:15.3f}" for case in row)
        compiles = " / ".join(f"{case.compile_s:.2f}" for case in row)
        lines.append(f"{name + ', ' + row[0].unit:48s}{numbers}{compiles:>22s}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seconds", type=float, default=0.5, help="time for each case")
    options = parser.parse_args()
    cases = measure(options.seconds)
    about = {"jax": jax.__version__, "backend": jax.default_backend(), "cores": os.cpu_count()}
    if options.json:
        rows = [
            {"name": c.name, "generator": c.generator, "value": c.result, "unit": c.unit, "compile_s": c.compile_s}
            for c in cases
        ]
        print(json.dumps(about | {"results": rows}))
        return
    print(", ".join(f"{k} {v}" for k, v in about.items()))
    print(table(cases))


if __name__ == "__main__":
    main()
