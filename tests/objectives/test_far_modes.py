"""The experiment of [carbone2023] with two modes in fifty dimensions: which objectives learn their masses."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from energax.densities import GaussianMixture
from energax.energies import energy
from energax.kernels import ULA
from energax.objectives import ContrastiveDivergence, Jarzynski, PersistentCD, Watched
from energax.spaces import Euclidean
from energax.training import Learner, fit

DIM = 50
TRUTH = GaussianMixture(jnp.zeros((2, DIM)).at[:, 0].set(jnp.array([-10.0, 6.0])), 1.0, jnp.array([0.25, 0.75]))


def _student(params, x):
    """Unit modes at both means; the weight of the second is exp(−z)."""
    means, z = params
    return -jax.nn.logsumexp(-0.5 * jnp.sum((x - means) ** 2, axis=-1) - jnp.stack([jnp.zeros_like(z), z]))


def log_z(params) -> float:
    return float(0.5 * DIM * jnp.log(2 * jnp.pi) + jax.nn.softplus(-params[1]))


def trained(name: str, num: int, num_steps: int, key) -> tuple[float, float, dict[str, float]]:
    """Mass of the mode near −10, KL(truth‖model) on fresh draws, and the last line of the log."""
    data_key, mean_key, fit_key, fresh_key = jax.random.split(key, 4)
    data = jax.vmap(lambda k: TRUTH.draw(key=k))(jax.random.split(data_key, num))
    means = jnp.zeros((2, DIM)).at[:, 0].set(jnp.array([-0.1, 0.1])) + 0.01 * jax.random.normal(mean_key, (2, DIM))
    start, kernel = GaussianMixture(means, 1.0), ULA(0.1)
    objective, speed = {
        "jarzynski": (Jarzynski(kernel, num, start=start), 1),
        "persistent-cd": (PersistentCD(kernel, num), 1),
        "cd": (ContrastiveDivergence(kernel, 4), 10),
    }[name]
    watched = Watched(objective, kernel, 512, start=start, landmarks=TRUTH.means)
    rates = {"means": optax.sgd(0.0025 * speed), "z": optax.sgd(0.0125 * speed)}
    optimizer = optax.multi_transform(rates, lambda p: jax.tree.map(lambda leaf: "means" if leaf.ndim else "z", p))
    student = energy(_student, (means, jnp.zeros(())), space=Euclidean(DIM))
    learner, lines = Learner(student, watched, optimizer=optimizer), []

    class Keep:
        def on_log(self, step, row):
            lines.append(row)

    run = fit(
        learner, np.asarray(data), key=fit_key, num_steps=num_steps, batch_size=num, hooks=[Keep()], recovery=None
    )
    params = run.energy.params
    fresh = jax.vmap(lambda k: TRUTH.draw(key=k))(jax.random.split(fresh_key, 40_000))
    kl = jax.vmap(lambda x: TRUTH.log_prob(x) + _student(params, x))(fresh).mean() + log_z(params)
    masses = jax.nn.softmax(-jnp.stack([jnp.zeros(()), params[1]]))
    return float(masses[jnp.argmin(params[0][:, 0])]), float(kl), {**lines[-1], "exact_log_z": log_z(params)}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_weighted_walkers_learn_the_masses(seed):
    """0.25 ± 0.02 and KL below 0.02 after 8,000 updates with 10,000 walkers and rows, as published."""
    mass, kl, row = trained("jarzynski", 10_000, 8_000, jax.random.key(seed))
    print(f"seed {seed}: mass {mass:.4f}, KL {kl:.4f}, log Z {row['log_z']:.3f} ± {row['log_z_stderr']:.3f}")
    assert abs(mass - 0.25) < 0.02
    assert kl < 0.02
    assert abs(row["log_z"] - row["exact_log_z"]) < 4.9 * row["log_z_stderr"]


@pytest.mark.slow
def test_chains_without_weights_fail_and_the_thermometer_sees_it():
    """Persistent chains lose the lesser mode, contrastive divergence gives both about the same mass.

    All the time the chains look like the data. The walkers that watch know the model's masses and its log Z.
    """
    for name, num_steps, expected in (("persistent-cd", 4_000, (0.0, 0.03)), ("cd", 400, (0.4, 0.6))):
        mass, kl, row = trained(name, 1_000, num_steps, jax.random.key(0))
        print(f"{name}: mass {mass:.4f}, KL {kl:.3f}, log Z {row['log_z']:.2f} of {row['exact_log_z']:.2f}")
        assert expected[0] <= mass <= expected[1]
        assert kl > 0.05
        assert row["chain_distance"] < 0.5
        assert row["mass_gap"] > 0.1
        assert abs(row["model_mass_0"] - mass) < 0.1
        assert abs(row["log_z"] - row["exact_log_z"]) < 4.9 * row["log_z_stderr"]
