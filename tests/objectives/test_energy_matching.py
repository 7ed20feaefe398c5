"""Energy matching: both losses against closed forms on a normal law, and defects that they show."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax._errors import ArgumentError, KernelMismatch
from energax.densities import Gaussian
from energax.energies import Ising
from energax.objectives import EnergyMatching
from energax.testing import assert_mean

CENTRE, VARIANCE, TEMPERATURE, END = 1.5, 0.6, 0.2, 0.8
MODEL = Gaussian(jnp.array([CENTRE]), VARIANCE)
REPEATS, ROWS = 1000, 8


class HotFromTheStart(EnergyMatching):
    """Chains that are heated while they flow."""

    def _moved(self, energy, x, from_noise, *, key):
        return super()._moved(energy, x, jnp.zeros_like(from_noise), key=key)


class EnergyAsPotential(EnergyMatching):
    """The temperature is forgotten: −∇E is taken for the velocity."""

    def _flow(self, energy, batch, *, key):
        return EnergyMatching(1.0, time_step=0.05, flow_end=END)._flow(energy, batch, key=key)


def made(cls=EnergyMatching, num_warm_up=0):
    return cls(TEMPERATURE, num_warm_up, 30, 0.05, flow_end=END, start=Gaussian(jnp.zeros(1)))


def measured(objective, key) -> dict[str, np.ndarray]:
    """Metrics of many updates with rows that all lie at one point, where all pairings are the same."""
    rows = jnp.full((ROWS, 1), CENTRE + 0.5)

    @eqx.filter_jit
    def update(key):
        state = objective.init(MODEL, rows, key=key)
        loss, (_, metrics) = objective.loss(MODEL, rows, state, key=key)
        return {**metrics, "loss": loss}

    return jax.device_get(jax.vmap(update)(jax.random.split(key, REPEATS)))


def flow_loss() -> float:
    """E (x − z − εκ (m − y))² for y = (1 − t) z + t x, κ = 1/s², by powers of t uniform on [0, τ]."""
    rate, x = TEMPERATURE / VARIANCE, CENTRE + 0.5
    t = np.linspace(0, END, 20001)
    # The error is linear in z ~ N(0, 1): a + b z.
    a = x - rate * (CENTRE - t * x)
    b = -1 + rate * (1 - t)
    return float(np.trapezoid(a**2 + b**2, t) / END)


def chain_energy() -> float:
    """Mean energy of chains, half of them from the rows, by the recursion of mean and variance."""
    factor, energies = 1 - 0.05 * TEMPERATURE / VARIANCE, []
    for is_noise in (False, True):
        away, variance = (-CENTRE, 1.0) if is_noise else (0.5, 0.0)
        for i in range(30):
            heat = np.clip((0.05 * (i + 0.5) - END) / (1 - END), 0, 1) if is_noise else 1.0
            away, variance = factor * away, factor**2 * variance + 2 * 0.05 * TEMPERATURE * heat
        energies.append(0.5 * (away**2 + variance) / VARIANCE)
    return float(np.mean(energies)) + 0.5 * float(np.log(2 * np.pi * VARIANCE))


def test_both_losses_are_what_they_say(key):
    """Means over 1000 updates; seen are errors of 3 % in the flow and of 2 % in the energy of the chains."""
    found = measured(made(), key)
    assert_mean(found["flow_loss"], flow_loss(), name="flow")
    assert_mean(found["energy_model"], chain_energy(), name="chains")
    total = found["flow_loss"] + found["energy_data"] - found["energy_model"]
    np.testing.assert_allclose(found["loss"], total, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mutant", "name", "value"),
    [(HotFromTheStart, "energy_model", chain_energy), (EnergyAsPotential, "flow_loss", flow_loss)],
)
def test_defects_are_seen(mutant, name, value, key):
    with pytest.raises(AssertionError):
        assert_mean(measured(made(mutant), key)[name], value(), name=name)


@pytest.mark.slow
def test_chains_come_after_the_warm_up(key):
    """Before, the gradient is that of the flow alone; the counter goes on."""
    rows, objective = jnp.full((4, 1), CENTRE), made(num_warm_up=3)
    loss = eqx.filter_jit(objective.loss)
    state = objective.init(MODEL, rows, key=key)
    for count in range(4):
        value, (state, metrics) = loss(MODEL, rows, state, key=key)
        assert (float(metrics["energy_model"]) == 0) == (count < 3)
        assert (float(value) == float(metrics["flow_loss"])) == (count < 3)
    assert int(state.count) == 4


def test_refusals(key):
    with pytest.raises(KernelMismatch, match="EnergyMatching needs a score"):
        made().check(Ising(3))
    with pytest.raises(ArgumentError, match="chains that reach time 1"):
        EnergyMatching(0.1, num_steps=10)
    with pytest.raises(ArgumentError, match="temperature > 0"):
        EnergyMatching(0.0)
