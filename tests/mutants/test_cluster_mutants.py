"""Cluster kernels with one planted defect each, and bonds that are not those of the energy."""

import jax
import jax.numpy as jnp
import pytest

from energax import testing
from energax.energies import Bonds, GraphCouplings, Ising, Potts, Tempered, bonds
from energax.kernels import SwendsenWang, Wolff
from energax.kernels._swendsen_wang import BondLaw, ClusterLaw, bond_law
from energax.testing import references

KITE = ([(0, 1), (1, 2), (0, 2), (2, 3)], [0.5, -0.7, 0.9, 1.2])


def ising():
    return Ising(GraphCouplings(*KITE), field=[0.3, 0.0, -0.2, 0.4])


def potts():
    return Potts(GraphCouplings(*KITE), 3, field=[0.3, 0.0, -0.4])


class HalfBonds(SwendsenWang):
    """1 − exp(−J) for Ising spins, which gain 2 J by agreeing."""

    def bond_law(self, model, old):
        law = bond_law(model, old)
        return BondLaw(law.strengths / 2, law.satisfied)


class FerromagneticBonds(SwendsenWang):
    """Agreement satisfies every bond, whatever its sign."""

    def bond_law(self, model, old):
        agree = old[model.pairs[:, 0]] == old[model.pairs[:, 1]]
        return BondLaw(model.strengths, agree)


class BlindToFields(SwendsenWang):
    def cluster_law(self, model, old, active):
        law = SwendsenWang().cluster_law(model, old, active)
        return ClusterLaw(law.old, law.labels, jnp.zeros_like(law.logits))


class FieldOfTheRoot(SwendsenWang):
    """A cluster feels the field of its first site only."""

    def cluster_law(self, model, old, active):
        law = SwendsenWang().cluster_law(model, old, active)
        alone = SwendsenWang().cluster_law(model, old, jnp.zeros_like(active))
        return ClusterLaw(law.old, law.labels, alone.logits)


class AlwaysAccepts(Wolff):
    def turned(self, model, old, active, seed, turn):
        new, log_ratio = Wolff().turned(model, old, active, seed, turn)
        return new, jnp.zeros_like(log_ratio)


class HalfBondsOfWolff(Wolff):
    def bond_law(self, model, old):
        return HalfBonds().bond_law(model, old)


DEFECTS = [HalfBonds(), FerromagneticBonds(), BlindToFields(), FieldOfTheRoot(), AlwaysAccepts(), HalfBondsOfWolff()]


@pytest.mark.parametrize("mutant", DEFECTS, ids=[type(m).__name__ for m in DEFECTS])
def test_a_defect_changes_the_law(mutant):
    """Of spins and of Potts variables: the matrix tells both."""
    for model in (ising(), potts()):
        with pytest.raises(AssertionError, match="changes the probability"):
            testing.assert_invariant(mutant, model)


@pytest.mark.parametrize("mutant", [HalfBonds(), AlwaysAccepts()], ids=["HalfBonds", "AlwaysAccepts"])
def test_a_defect_is_seen_from_exact_starts(mutant, key):
    with pytest.raises(AssertionError, match="z = "):
        testing.assert_exact_start(mutant, references.asymmetric_ising(), key=key)


def test_bonds_that_are_not_those_of_the_energy_are_named(key):
    class Half(Tempered):
        """The strengths of a tempered energy without β."""

    @bonds.register
    def _(energy: Half) -> Bonds:
        found = bonds(energy.energy)
        return Bonds(found.pairs, found.strengths, energy.beta * found.fields)

    with pytest.raises(AssertionError, match=r"breaks `bonds`: E is not −Σ K"):
        testing.check_energy(Half(ising(), 0.5), clauses=["bonds"], key=jax.random.fold_in(key, 1))
