"""Planted bugs in energies: `check_energy` must name the broken clause of each."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import energies
from energax.densities import AbstractDensity, Gaussian
from energax.energies import (
    RBM,
    AbstractEnergy,
    Block,
    BoltzmannMachine,
    GraphCouplings,
    Ising,
    LatticeCouplings,
    blocks,
    conditional_logits,
    conditional_logits_at,
    conditional_normals,
    exact_draw,
    latent,
    log_normalizer,
    score,
    score_and_curvature,
    uniform_lattice,
    value_and_score,
)
from energax.spaces import Box, Euclidean, Spins
from energax.testing import check_energy
from energax.testing.references import asymmetric_gaussian_rbm, asymmetric_rbm

FIELD = np.linspace(-0.4, 0.7, 9).reshape(3, 3)


class Wrapped(AbstractEnergy):
    """An energy with the value of another one; each mutant spoils one rule of it."""

    inner: AbstractEnergy

    @property
    def space(self):
        return self.inner.space

    def __call__(self, x):
        return self.inner(x)


def mutant_of(name):
    """A new class, so that the rules of one mutant do not reach another one."""
    return type(name, (Wrapped,), {})


def ising():
    return Ising(3, coupling=0.3, field=jnp.asarray(FIELD, float))


def wrong_sign_of_the_logits():
    mutant = mutant_of("WrongSign")
    conditional_logits.register(mutant, lambda e, x, part=None: -conditional_logits(e.inner, x, part))
    return mutant(ising())


def logits_without_the_field():
    mutant = mutant_of("NoField")
    conditional_logits.register(
        mutant, lambda e, x, part=None: conditional_logits(Ising(3, coupling=e.inner.couplings.coupling), x, part)
    )
    return mutant(ising())


def tempered_without_beta_in_its_logits():
    class ForgetfulTempered(AbstractEnergy):
        inner: AbstractEnergy
        beta: jax.Array

        @property
        def space(self):
            return self.inner.space

        def __call__(self, x):
            return self.beta * self.inner(x)

    conditional_logits.register(ForgetfulTempered, lambda e, x, part=None: conditional_logits(e.inner, x, part))
    return ForgetfulTempered(ising(), jnp.asarray(0.6, float))


def bond_counted_twice():
    """The value counts every bond twice; the local fields count it once."""

    class DoubleBond(AbstractEnergy):
        coupling: jax.Array
        space: Spins = eqx.field(static=True)

        def __call__(self, x):
            s = x.astype(self.coupling.dtype)
            return -self.coupling * sum(jnp.sum(s * (jnp.roll(s, 1, a) + jnp.roll(s, -1, a))) for a in range(2))

    conditional_logits.register(
        DoubleBond, lambda e, x, part=None: conditional_logits(Ising(3, coupling=e.coupling), x, part)
    )
    return DoubleBond(jnp.asarray(0.3, float), Spins((3, 3)))


class BondsOfTheSiteBehind(LatticeCouplings):
    """The bond to the site behind is looked up at the site itself."""

    def times(self, values):
        ahead = [self.coupling[a] * jnp.roll(values, -1, a) for a in range(2)]
        return sum(ahead) + sum(self.coupling[a] * jnp.roll(values, 1, a) for a in range(2))


def bonds_of_the_site_behind():
    return Ising(BondsOfTheSiteBehind((3, 3), np.sin(np.arange(18.0)).reshape(2, 3, 3)))


def potts_couplings_of_ising():
    """The logits of a Potts model have J, those of an Ising model 2 J."""
    mutant = mutant_of("TwiceTheCoupling")
    conditional_logits.register(mutant, lambda e, x, part=None: 2 * conditional_logits(e.inner, x, part))
    return mutant(energies.Potts(3, 3, coupling=0.4))


def rotors_that_turn_the_wrong_way():
    mutant = mutant_of("WrongTurn")
    value_and_score.register(mutant, lambda e, x: (value_and_score(e.inner, x)[0], -value_and_score(e.inner, x)[1]))
    return mutant(energies.XY(3, field=0.3))


def logits_at_the_neighbouring_site():
    mutant = mutant_of("OffByOne")
    conditional_logits.register(mutant, lambda e, x, part=None: conditional_logits(e.inner, x, part))
    conditional_logits_at.register(mutant, lambda e, x, site: conditional_logits_at(e.inner, x, (site + 1) % x.size))
    return mutant(ising())


def swapped_parts():
    mutant = mutant_of("SwappedParts")
    other = {"visible": "hidden", "hidden": "visible"}
    conditional_logits.register(mutant, lambda e, x, part=None: conditional_logits(e.inner, x, other[part]))
    square = RBM.from_parameters(
        jnp.asarray(np.sin(np.arange(9.0)).reshape(3, 3), float), jnp.full(3, 0.2), jnp.full(3, -0.1)
    )
    return mutant(square)


def two_colours_on_an_odd_lattice():
    mutant = mutant_of("TwoColours")
    colour = np.indices((3, 3)).sum(0) % 2
    blocks.register(mutant, lambda e: tuple(Block(mask=colour == c) for c in range(2)))
    return mutant(ising())


def blocks_that_miss_a_site():
    mutant = mutant_of("MissingSite")
    mask = np.ones((3, 3), bool)
    mask[0, 0] = False
    blocks.register(mutant, lambda e: (Block(mask=mask),))
    return mutant(ising())


def observed_block_first():
    mutant = mutant_of("ObservedFirst")
    conditional_logits.register(mutant, lambda e, x, part=None: conditional_logits(e.inner, x, part))
    latent.register(mutant, lambda e: latent(e.inner))
    blocks.register(mutant, lambda e: blocks(e.inner)[::-1])
    return mutant(asymmetric_rbm().energy)


def hidden_units_that_are_not_independent():
    class CoupledHidden(AbstractEnergy):
        inner: RBM
        coupling: jax.Array

        @property
        def space(self):
            return self.inner.space

        def __call__(self, x):
            return self.inner(x) + self.coupling * x["hidden"][0] * x["hidden"][1]

    latent.register(CoupledHidden, lambda e: latent(e.inner))
    blocks.register(CoupledHidden, lambda e: blocks(e.inner))
    return CoupledHidden(asymmetric_rbm().energy, jnp.asarray(0.5, float))


class HiddenUnitsAtOnce(BoltzmannMachine):
    """All hidden units are one block, as if it were a restricted machine."""

    def colour_masks(self, part):
        return (None,)


class HalfTheGap(BoltzmannMachine):
    """The logits of spins are those of units with the values 0 and 1."""

    @property
    def gap(self):
        return 1


def coupled_hidden_units_drawn_at_once():
    return HiddenUnitsAtOnce(GraphCouplings([(0, 1), (1, 2), (2, 3)], jnp.array([0.5, 0.7, -0.9])), 2)


def spins_with_logits_of_bits():
    return HalfTheGap(GraphCouplings([(0, 1), (1, 2)], jnp.array([0.5, 0.7])), units="spins")


def normal_laws_without_the_mean_of_the_data():
    mutant = mutant_of("NoMean")
    blocks.register(mutant, lambda e: blocks(e.inner))
    latent.register(mutant, lambda e: latent(e.inner))

    def law(e, x, part=None):
        right = conditional_normals(e.inner, x, part)
        return right._replace(linear=right.linear - right.precision * e.inner.visible_bias)

    conditional_normals.register(mutant, law)
    return mutant(asymmetric_gaussian_rbm().energy)


def coordinates_that_are_not_independent():
    class Sheared(AbstractEnergy):
        inner: energies.GaussianRBM
        shear: jax.Array

        @property
        def space(self):
            return self.inner.space

        def __call__(self, x):
            return self.inner(x) + self.shear * x["visible"][0] * x["visible"][1]

    blocks.register(Sheared, lambda e: blocks(e.inner))
    latent.register(Sheared, lambda e: latent(e.inner))
    return Sheared(asymmetric_gaussian_rbm().energy, jnp.asarray(0.3, float))


class ColoursOfPairs(energies.FactorGraph):
    """Only tables over two variables are seen by the colouring."""


blocks.register(ColoursOfPairs, lambda e: (Block(mask=np.array([True, False, True])), Block(mask=np.arange(3) == 1)))


def variables_of_one_table_drawn_at_once():
    tables = np.sin(np.arange(8.0)).reshape(2, 2, 2), np.cos(np.arange(4.0)).reshape(2, 2)
    return ColoursOfPairs([2, 2, 2], [((0, 1, 2), tables[0]), ((0, 1), tables[1])])


def tables_read_along_another_axis():
    mutant = mutant_of("OtherAxis")
    graph, other = (
        energies.FactorGraph([3, 3], [(scope, np.sin(np.arange(9.0)).reshape(3, 3))]) for scope in ((0, 1), (1, 0))
    )
    conditional_logits.register(mutant, lambda e, x, part=None: conditional_logits(other, x))
    return mutant(graph)


def score_with_the_sign_of_the_gradient():
    mutant = mutant_of("ScoreSign")
    value_and_score.register(mutant, lambda e, x: (value_and_score(e.inner, x)[0], -value_and_score(e.inner, x)[1]))
    return mutant(Gaussian(jnp.array([1.0, 0.5]), 0.5))


def curvature_without_the_bend_of_the_activation():
    mutant = mutant_of("Straight")
    straight = energies.MLP(2, hidden=(4,), activation="relu", key=jax.random.key(0))
    score_and_curvature.register(mutant, lambda e, x, v: (score(e, x), score_and_curvature(straight, x, v)[1]))
    return mutant(energies.MLP(2, hidden=(4,), key=jax.random.key(0)))


def score_that_forgets_to_fold():
    mutant = mutant_of("NoFold")
    value_and_score.register(mutant, lambda e, x: (e(x), -jax.grad(e)(x)))
    return mutant(energies.energy(lambda w, x: jnp.sum(w * x**3), jnp.array([1.0, 2.0]), space=Box(2)))


def derivative_that_is_wrong_by_a_custom_rule():
    @jax.custom_jvp
    def half_square(x):
        return 0.5 * jnp.sum(x**2)

    half_square.defjvp(lambda primals, tangents: (half_square(*primals), 2 * jnp.vdot(primals[0], tangents[0])))
    return energies.energy(lambda k, x: k * half_square(x), jnp.asarray(1.5, float), space=Euclidean(3))


def one_number_too_many():
    class ManyNumbers(AbstractEnergy):
        weights: jax.Array
        space: Euclidean = eqx.field(static=True)

        def __call__(self, x):
            return (x @ self.weights)[None]

    return ManyNumbers(jnp.ones((3, 3)), Euclidean(3))


def whole_numbers():
    return energies.energy(lambda x: jnp.sum(x, dtype=jnp.int32), space=Spins(3))


def parameters_in_the_closure():
    weights = jnp.array([1.0, 2.0])
    return energies.energy(lambda scale, x: scale * weights @ x, jnp.asarray(1.0, float), space=Euclidean(2))


def parameters_in_the_closure_of_a_compiled_function():
    weights = jnp.array([1.0, 2.0])
    inner = jax.jit(lambda x: weights @ x)
    return energies.energy(lambda scale, x: scale * inner(x), jnp.asarray(1.0, float), space=Euclidean(2))


def stale_float64():
    offset = np.float64(0.1) * np.ones(2)
    return energies.energy(lambda w, x: jnp.sum((w * x + offset) ** 2), jnp.ones(2), space=Euclidean(2))


def single_precision_inside():
    def fn(w, x):
        return jnp.sum((w * x).astype(jnp.float32) ** 2).astype(x.dtype)

    return energies.energy(fn, jnp.ones(2), space=Euclidean(2))


def leaf_without_effect():
    return energies.energy(
        lambda p, x: jnp.sum(p["used"] * x**2), {"used": jnp.ones(2), "forgotten": jnp.ones(2)}, space=Euclidean(2)
    )


def python_number_as_a_leaf():
    class PythonNumber(AbstractEnergy):
        stiffness: float
        space: Euclidean = eqx.field(static=True)

        def __call__(self, x):
            return self.stiffness * jnp.sum(x**2)

    return PythonNumber(2.0, Euclidean(2))


def weakly_typed_leaf():
    return eqx.tree_at(lambda e: e.couplings.coupling, ising(), jnp.asarray(0.3))


def impure():
    noise = np.random.default_rng(0)
    return energies.energy(lambda w, x: jnp.sum(w * x) + float(noise.normal()), jnp.ones(2), space=Euclidean(2))


def one_configuration_only():
    """Works on one configuration and breaks under vmap."""

    def fn(w, x):
        return w * float(np.sum(np.asarray(x)))

    return energies.energy(fn, jnp.asarray(1.0, float), space=Spins(4))


class UnnormalisedDensity(AbstractDensity):
    inner: Gaussian

    @property
    def space(self):
        return self.inner.space

    def log_prob(self, x):
        return self.inner.log_prob(x) + 0.01

    def draw(self, *, key):
        return self.inner.draw(key=key)


def density_that_is_not_normalised():
    return UnnormalisedDensity(Gaussian(jnp.array([0.5]), 0.7))


class NarrowDraws(AbstractDensity):
    inner: Gaussian

    @property
    def space(self):
        return self.inner.space

    def log_prob(self, x):
        return self.inner.log_prob(x)

    def draw(self, *, key):
        return self.inner.mean + 0.9 * (self.inner.draw(key=key) - self.inner.mean)


def draws_that_are_ten_per_cent_narrow():
    return NarrowDraws(Gaussian(jnp.array([0.5, -0.2]), 1.0))


def closed_form_of_another_temperature():
    mutant = mutant_of("WrongConstant")
    log_normalizer.register(mutant, lambda e: jnp.zeros(()))
    return mutant(energies.Tempered(Gaussian(jnp.array([0.5]), 0.7), 0.5))


def draws_outside_of_the_space():
    mutant = mutant_of("Outside")
    exact_draw.register(mutant, lambda e, *, key: jax.random.normal(key, (2,)))
    return mutant(energies.energy(lambda w, x: jnp.sum(w * x), jnp.ones(2), space=Box(2)))


def lattice_of_another_field():
    mutant = mutant_of("AnotherField")
    uniform_lattice.register(mutant, lambda e: uniform_lattice(energies.Tempered(Ising(3, field=0.2), 2.0)))
    return mutant(energies.Sum((Ising(3, field=0.2), Ising(3, field=0.1))))


MUTANTS = [
    (wrong_sign_of_the_logits, "conditional_logits", "single-site energies"),
    (logits_without_the_field, "conditional_logits", "single-site energies"),
    (tempered_without_beta_in_its_logits, "conditional_logits", "single-site energies"),
    (bond_counted_twice, "conditional_logits", "single-site energies"),
    (bonds_of_the_site_behind, "conditional_logits", "single-site energies"),
    (potts_couplings_of_ising, "conditional_logits", "single-site energies"),
    (rotors_that_turn_the_wrong_way, "score", "minus the gradient"),
    (logits_at_the_neighbouring_site, "conditional_logits", "conditional_logits_at"),
    (swapped_parts, "conditional_logits", "of part"),
    (two_colours_on_an_odd_lattice, "blocks_independent", "not conditionally independent"),
    (blocks_that_miss_a_site, "blocks_partition", "1 sites are in no block"),
    (observed_block_first, "blocks_partition", "hidden parts come first"),
    (hidden_units_that_are_not_independent, "blocks_independent", "'hidden'"),
    (coupled_hidden_units_drawn_at_once, "blocks_independent", "'hidden'"),
    (spins_with_logits_of_bits, "conditional_logits", "single-site energies"),
    (normal_laws_without_the_mean_of_the_data, "conditional_normals", "independent normal coordinates"),
    (coordinates_that_are_not_independent, "conditional_normals", "independent normal coordinates"),
    (variables_of_one_table_drawn_at_once, "blocks_independent", "not conditionally independent"),
    (tables_read_along_another_axis, "conditional_logits", "single-site energies"),
    (lattice_of_another_field, "uniform_lattice", "with the numbers of"),
    (score_with_the_sign_of_the_gradient, "score", "minus the gradient"),
    (curvature_without_the_bend_of_the_activation, "curvature", "another curvature"),
    (score_that_forgets_to_fold, "score", "folded point"),
    (derivative_that_is_wrong_by_a_custom_rule, "score", "finite differences"),
    (one_number_too_many, "scalar", r"shape \(1, 3\)|shape \(1,\)|instead of one number"),
    (whole_numbers, "scalar", "int32"),
    (parameters_in_the_closure, "closed_over", "not among its leaves"),
    (parameters_in_the_closure_of_a_compiled_function, "closed_over", "not among its leaves"),
    (stale_float64, "dtypes", "returns float64"),
    (single_precision_inside, "full_precision", "single precision"),
    (leaf_without_effect, "gradients", "forgotten"),
    (python_number_as_a_leaf, "leaf_types", "Python number 2.0"),
    (weakly_typed_leaf, "leaf_types", "weak type"),
    (impure, "one_trace", "not pure"),
    (one_configuration_only, "one_trace|scalar", "Tracer"),
    (density_that_is_not_normalised, "log_normalizer", "gives 0"),
    (draws_that_are_ten_per_cent_narrow, "exact_draw", "z = "),
    (closed_form_of_another_temperature, "log_normalizer", "gives 0"),
    (draws_outside_of_the_space, "exact_draw", "outside of the space"),
]


@pytest.mark.parametrize(("make", "clause", "sentence"), MUTANTS, ids=[m[0].__name__ for m in MUTANTS])
def test_the_planted_bug_is_found(make, clause, sentence, key):
    with pytest.raises(AssertionError, match=rf"breaks `({clause})`: .*({sentence})"):
        check_energy(make(), clauses=clause.split("|"), key=key)


def test_the_same_energies_without_the_bug_pass(key):
    """What the mutants are made of is right: only the planted lines can be what is found."""
    check_energy(Wrapped(ising()), key=key, wrappers=False)
    check_energy(ising(), key=key, wrappers=False)
