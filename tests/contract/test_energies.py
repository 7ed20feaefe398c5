"""The contract of energies over the table of everything that is an energy here. A new energy is a new row."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import densities, energies
from energax.densities import IndependentSites, Uniform
from energax.energies import (
    RBM,
    AbstractEnergy,
    Clamped,
    Conditional,
    Interpolated,
    Ising,
    Marginal,
    Potts,
    Shifted,
    Sum,
    Tempered,
)
from energax.spaces import Binary, Box, Categorical, Euclidean, Product, Spins
from energax.testing import check_energy, references

KEY = jax.random.key(5)


def ising(shape=(3, 4)):
    field = jnp.asarray(np.cos(np.arange(np.prod(shape))).reshape(shape), float)
    return Ising(shape, coupling=0.3, field=field)


def signed(shape):
    """Bonds of one strength, with signs."""
    return energies.LatticeCouplings(
        shape, 0.3, signs=np.where(np.sin(np.arange(np.prod(shape) * 2.0)) > 0, 1, -1).reshape(2, *shape)
    )


def glass():
    """A wheel: six sites on a ring with couplings of both signs, all tied to a hub."""
    edges = [(i, (i + 1) % 6) for i in range(6)] + [(i, 6) for i in range(6)]
    couplings = energies.GraphCouplings(edges, np.sin(np.arange(12.0) + 1))
    return Ising(couplings, field=np.cos(np.arange(7.0)))


def strip():
    coupling = np.sin(np.arange(24.0) + 1).reshape(2, 3, 4)
    return Ising(energies.LatticeCouplings((3, 4), coupling, boundary=("open", "periodic")), field=0.2)


def dense():
    matrix = np.sin(np.arange(36.0)).reshape(6, 6)
    return Ising(energies.DenseCouplings(matrix + matrix.T - np.diag(2 * np.diagonal(matrix))), field=0.3)


def rbm(num_hidden=3):
    machine = RBM(4, num_hidden, scale=0.7, key=KEY)
    return RBM.from_parameters(machine.weights, jnp.linspace(-0.5, 0.5, 4), jnp.linspace(0.2, 0.7, num_hidden))


def machine(num_visible=None, units="binary"):
    """Three visible and three hidden units: a triangle of hidden ones, two coupled visible ones, pairs across."""
    edges = [(3, 4), (4, 5), (3, 5), (0, 1), (0, 3), (1, 4), (2, 5), (2, 3)]
    couplings = energies.GraphCouplings(edges, np.sin(np.arange(8.0) + 1))
    return energies.BoltzmannMachine(couplings, num_visible, bias=np.cos(np.arange(6.0)), units=units)


def factors():
    """A triangle of three tables, one table over three variables, two fields; numbers of categories that differ."""
    counts, scopes = (3, 2, 4, 2, 1), [(0, 1), (1, 2), (2, 0), (1, 2, 3), (3,), (4, 3), (2,)]
    rng = np.random.default_rng(4)
    return energies.FactorGraph(counts, [(s, rng.normal(size=[counts[i] for i in s])) for s in scopes], constant=0.3)


def bernoulli():
    return IndependentSites(Binary(4), jnp.linspace(-1.0, 2.0, 4))


def joint():
    space = Product({"x": Spins(3), "label": Categorical((), num_categories=3)})
    return energies.energy(
        lambda w, x: jnp.sum(w[x["label"]] * x["x"]),
        jnp.asarray(np.sin(np.arange(9.0)).reshape(3, 3), float),
        space=space,
    )


def _distance(x, row):
    return jnp.sum(jnp.log1p((x - row) ** 2))


PLAIN = {
    "Ising, odd and even axes": ising,
    "Ising on a graph": glass,
    "Potts": lambda: Potts((2, 3), 3, coupling=0.6, field=np.sin(np.arange(18.0)).reshape(2, 3, 3)),
    "RBM": rbm,
    "BoltzmannMachine": lambda: machine(3),
    "GaussianRBM": lambda: references.asymmetric_gaussian_rbm().energy,
    "DoubleWell": lambda: energies.DoubleWell(2, barrier=2.0, tilt=0.5),
    "function on a box": lambda: references.tilted_box().energy,
    "function of categories": lambda: references.skewed_categorical().energy,
    "Gaussian": lambda: references.correlated_gaussian().energy,
    "IndependentSites": bernoulli,
}

# The clauses on wrappers are not repeated for each of these: kinds of energies that have had them above, and wrappers.
OTHERS = {
    "Ising ring": lambda: ising((6,)),
    "Ising ±J, one field": lambda: Ising(signed((3, 4)), field=0.2),
    "Ising, one field, between two temperatures": lambda: Interpolated(
        Tempered(Ising((2, 4), field=0.2), 0.3), Sum((Ising((2, 4), coupling=-0.2), Ising((2, 4), field=0.5))), 0.6
    ),
    "Ising strip, bond by bond": strip,
    "Potts on a graph": lambda: Potts(
        energies.GraphCouplings([(0, 1), (1, 2), (0, 2), (2, 3)], [0.5, -0.7, 0.9, 1.2]), 3, field=[0.3, 0.0, -0.4]
    ),
    "XY": lambda: energies.XY((2, 3), coupling=0.7, field=np.cos(np.arange(6.0)).reshape(2, 3)),
    "Phi4": lambda: energies.Phi4((2, 3), quartic=0.8, mass_squared=-1.5),
    "Ising, a coupling for each axis": lambda: Ising((2, 3, 2), coupling=[0.2, 0.5, -0.3]),
    "Ising, all pairs": dense,
    "Ising from patterns": lambda: energies.hopfield(
        np.sign(np.sin(np.arange(1.0, 19.0) ** 2)).reshape(3, 6), field=0.1
    ),
    "BoltzmannMachine of spins, none hidden": lambda: machine(units="spins"),
    "FactorGraph": factors,
    "MLP": lambda: energies.MLP(2, hidden=(8, 8), key=KEY),
    "ConvNet, colours": lambda: energies.ConvNet((5, 4, 2), channels=(3, 4), key=KEY),
    "function on a torus": lambda: references.tilted_angle().energy,
    "ShapedGaussian": lambda: densities.ShapedGaussian(
        densities.Gaussian(jnp.zeros(4), jnp.arange(1.0, 5.0)), Euclidean((2, 2))
    ),
    "GaussianMixture": lambda: references.skewed_mixture().energy,
    "IndependentSites, categorical": lambda: IndependentSites(
        Categorical(3, num_categories=3), jnp.asarray(np.sin(np.arange(9.0)).reshape(3, 3), float)
    ),
    "SiteMixture": lambda: densities.SiteMixture(
        jnp.asarray(np.sin(np.arange(8.0)).reshape(2, 4), float), jnp.asarray([0.3, -0.4]), Spins(4)
    ),
    "Uniform": lambda: Uniform(Box((2,), -1.0, 2.0)),
    "MLP on spins": lambda: energies.MLP(Spins(4), hidden=(8,), key=KEY),
    "MuellerBrown, tempered": lambda: Tempered(energies.MuellerBrown(), 1 / 30),
    "ManyWell": lambda: energies.ManyWell(2),
    "DW-4": energies.DoubleWellCluster,
    "LJ-3": lambda: energies.LennardJonesCluster(3),
    "Rosenbrock": lambda: densities.Rosenbrock(2),
    "Funnel": lambda: densities.Funnel(3),
    "Cauchy": lambda: densities.Cauchy(3, 0.3, 0.7),
    "Posterior": lambda: energies.Posterior(
        densities.Gaussian(jnp.zeros(2)), _distance, jnp.linspace(-1.0, 2.0, 6).reshape(3, 2)
    ),
    "two-moons": lambda: densities.planar("two-moons"),
    "checkerboard": lambda: densities.planar("checkerboard"),
    "Tempered RBM": lambda: Tempered(rbm(), 0.6),
    "Marginal over the hidden units": lambda: Marginal(rbm(), keep="hidden"),
    "Shifted": lambda: Shifted(ising(), 0.7),
    "Sum": lambda: Sum((ising(), Tempered(ising(), 0.4))),
    "Bernoulli to RBM": lambda: Interpolated(bernoulli(), rbm(), 0.3),
    "RBM to RBM": lambda: Interpolated(rbm(), rbm(2), 0.3),
    "Clamped Ising": lambda: Clamped(ising(), np.arange(12).reshape(3, 4) % 3 == 0, jnp.ones((3, 4), jnp.int8)),
    "Clamped RBM": lambda: Clamped(rbm(), np.arange(4) == 1, jnp.ones(4, jnp.int8)),
    "Equinox module": lambda: energies.energy(eqx.nn.MLP(2, "scalar", 8, 1, key=KEY), space=Box(2)),
    "Multicanonical": lambda: energies.Multicanonical(
        ising(), energies.EnergyBins(-9.03, 1.3, 12), jnp.asarray(np.sin(np.arange(12.0)), float)
    ),
    "ParticleNet": lambda: energies.ParticleNet((3, 2), width=4, num_layers=1, num_waves=4, key=KEY),
    "joint with a label": joint,
    "AtLevel": lambda: energies.AtLevel(energies.NoiseConditionalMLP(2, hidden=(8,), key=KEY), 0.5),
    "ConditionalMLP": lambda: energies.ConditionalMLP(2, 3, hidden=(4,), key=KEY),
    "GraphNet": lambda: energies.GraphNet(3, [(0, 1), (1, 2)], width=4, num_layers=1, key=KEY),
    # Blocks begin as the identity, where their first filters have no slope.
    "ResNet": lambda: jax.tree.map(
        lambda leaf: leaf + 0.1 if eqx.is_inexact_array(leaf) else leaf,
        energies.ResNet(Binary((2, 2)), channels=(2,), num_blocks=1, key=KEY),
    ),
    "LatentGaussian": lambda: densities.LatentGaussian(2, latent_dim=1, hidden=(4,), key=KEY),
    "Mixed": lambda: energies.Mixed((ising(), Tempered(ising(), 0.4)), jnp.asarray([0.2, -0.3])),
    "given the label": lambda: Conditional(joint(), "label").given(jnp.asarray(2, jnp.int8)),
}


# Densities whose leaves are the nodes and weights of a quadrature.
TABLES = {"two-moons", "checkerboard"}


# An eager convolution compiles for ten seconds; its gradients are tested beside the network.
QUICK = ("scalar", "leaf_types", "closed_over", "dtypes", "full_precision", "gradients", "round_trip")


@pytest.mark.parametrize("name", PLAIN)
def test_contract(name, key):
    checked = check_energy(PLAIN[name](), key=key)
    assert {"scalar", "one_trace", "dtypes", "combinations"} <= set(checked)


@pytest.mark.parametrize("name", OTHERS)
def test_contract_without_wrappers(name, key):
    model = OTHERS[name]()
    unused = ("['values']", ".values") if isinstance(model, Clamped) else ()
    if isinstance(model, energies.Multicanonical):
        # A step function of the energy has no slope.
        inside = (".energy.couplings.coupling", ".energy.couplings.strengths", ".energy.field")
        unused = (*inside, ".bins.low", ".bins.width")
    clauses = QUICK if name in ("ConvNet, colours", "ParticleNet") else None
    checked = check_energy(model, wrappers=False, unused=unused, tables=name in TABLES, clauses=clauses, key=key)
    assert ("uniform_lattice" in checked) == ("one field" in name)


def test_every_public_energy_has_a_row():
    rows = [make() for make in (*PLAIN.values(), *OTHERS.values())]
    seen = {type(part) for row in rows for part in _parts(row)}
    public = [getattr(module, name) for module in (energies, densities) for name in module.__all__]
    missing = {
        cls.__name__
        for cls in public
        if isinstance(cls, type) and issubclass(cls, AbstractEnergy) and not cls.__name__.startswith("Abstract")
    } - {cls.__name__ for cls in seen}
    # The other planar densities, and flows, have files of tests of their own.
    assert missing <= {"Flow", "Pinwheel", "Rings"}, f"energies without a row in this table: {sorted(missing)}"


def _parts(model):
    """An energy and the energies inside it."""
    found = [model]
    for value in vars(model).values():
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, AbstractEnergy):
                found += _parts(item)
    return found


def test_what_a_clause_says_when_it_applies(key):
    checked = check_energy(rbm(), key=key, wrappers=False)
    assert {"marginal", "latent", "blocks_independent", "conditional_logits"} <= set(checked)
    assert "score" not in checked
    assert "score" in check_energy(energies.DoubleWell(), key=key, wrappers=False)
