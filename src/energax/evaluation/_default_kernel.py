"""The kernel that log Z is estimated with when nobody names one."""

from __future__ import annotations

from energax._errors import ArgumentError
from energax.densities import AbstractDensity
from energax.energies import AbstractEnergy, Interpolated, blocks, latent, observed_space
from energax.kernels import HMC, AbstractKernel, BlockGibbs, HeatBath, target


def default_kernel(energy: AbstractEnergy, base: AbstractDensity | None = None) -> AbstractKernel:
    """The kernel that anneals `energy` well without being asked: block Gibbs, heat bath or HMC.

    Machines with real visible units keep their blocks on the way from a base without correlations, such as the one
    that is fitted for a kernel of blocks; from another base HMC runs on their free energy.
    """
    if observed_space(energy).is_discrete:
        return BlockGibbs() if blocks(energy) else HeatBath()
    between = energy if base is None or latent(energy) is None else Interpolated(base, energy, 0.5)
    return BlockGibbs() if latent(energy) is not None and blocks(between) else HMC(0.1, num_leapfrog=5)


def exact_kernel(
    energy: AbstractEnergy, kernel: AbstractKernel | None, base: AbstractDensity | None = None
) -> AbstractKernel:
    """The kernel that was asked for, or the default one, if it is exact and fits the energy.

    Raises:
        ArgumentError: It is not exact.
        KernelMismatch: It does not fit.
    """
    chosen = default_kernel(energy, base) if kernel is None else kernel
    if not chosen.exact:
        raise ArgumentError(f"log Z needs an exact kernel; {type(chosen).__name__} leaves exp(−E) only roughly alone.")
    target(energy, chosen)
    return chosen
