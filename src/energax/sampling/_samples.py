"""What `sample` returns."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from energax._errors import MissingExtra, Unreliable
from energax.estimators import Estimate, chain_mean, ess, r_hat, tau
from energax.kernels import AbstractKernel


@dataclasses.dataclass(frozen=True, repr=False)
class Samples:
    """Stored draws of many chains, with what happened on the way.

    Attributes:
        x: Saved function of the observed configurations, axes (chain, draw, *event) for each leaf; None if nothing
            was saved.
        energy: E at the saved draws, (chain, draw).
        accept_prob: Mean acceptance probability of each chain after warm-up.
        num_nonfinite: Proposals with a non-finite energy in each chain, all of them rejected.
        last: Last configuration of every chain, (chain, *event): a start for the next call.
        kernel: The kernel that ran, with its adapted step size.
        accumulated: Results of the online accumulators by name.
        result: ``"successful"``, ``"nonfinite_energy"``, ``"all_proposals_rejected"`` or ``"interrupted"``.
        settings: How it was run: counts, thinning, generator of random numbers.
    """

    x: PyTree[Any]
    energy: np.ndarray
    accept_prob: np.ndarray
    num_nonfinite: np.ndarray
    last: PyTree[Any]
    kernel: AbstractKernel
    accumulated: dict[str, Any]
    result: str
    settings: dict[str, Any]

    @property
    def num_chains(self) -> int:
        """Number of chains."""
        return self.energy.shape[0]

    @property
    def num_draws(self) -> int:
        """Number of kept draws of each chain."""
        return self.energy.shape[1]

    def summary(self) -> dict[str, float | str | int]:
        """Diagnostics of the energy along the chains: mean, R-hat, ESS, autocorrelation time, acceptance.

        The energy is used because every model has one; `estimates` tells the same of what was saved.
        """
        out: dict[str, float | str | int] = {
            "result": self.result,
            "num_chains": self.num_chains,
            "num_draws": self.num_draws,
            "accept_prob": float(np.mean(self.accept_prob)),
            "num_nonfinite": int(np.sum(self.num_nonfinite)),
        }
        if self.num_draws >= 4:
            energies = np.asarray(self.energy, np.float64)
            effective = float(ess(energies))
            out["energy_mean"] = float(energies.mean())
            out["energy_stderr"] = float(energies.std() / np.sqrt(max(effective, 1.0)))
            out["r_hat"] = float(r_hat(energies))
            out["ess"] = effective
            try:
                out["tau"] = float(tau(energies).value)
            except Unreliable:
                out["tau"] = float("nan")
        return out

    def estimates(self) -> dict[str, Estimate]:
        """The means of the energy and of every saved number, each with its error bar, R-hat, τ and ESS.

        Saved numbers are the leaves of `x` with one number a draw, as `save=lambda x: {"m": jnp.mean(x)}` gives them.
        """
        leaves = jax.tree_util.tree_flatten_with_path(self.x)[0]
        series = {_leaf_name(path): leaf for path, leaf in leaves if np.ndim(leaf) == 2}
        return {
            name: chain_mean(np.asarray(leaf, np.float64)) for name, leaf in {**series, "energy": self.energy}.items()
        }

    def to_arviz(self) -> Any:
        """An ArviZ `DataTree` with groups `posterior` and `sample_stats` (needs the extra ``arviz``)."""
        try:
            from arviz_base import from_dict
        except ImportError as error:
            raise MissingExtra('to_arviz needs arviz-base: pip install "energax[arviz]".') from error
        leaves = jax.tree_util.tree_flatten_with_path(self.x)[0]
        posterior = {_leaf_name(path): np.asarray(leaf) for path, leaf in leaves}
        return from_dict({"posterior": posterior, "sample_stats": {"energy": np.asarray(self.energy)}})

    def __repr__(self) -> str:
        values = self.summary()
        parts = [f"{self.num_chains} chains × {self.num_draws} draws"]
        if "r_hat" in values:
            parts.append(f"energy {values['energy_mean']:.4g} ± {values['energy_stderr']:.2g}")
            parts.append(f"R-hat {values['r_hat']:.3f}, ESS {values['ess']:.0f}")
        parts.append(f"acceptance {values['accept_prob']:.2f}, {self.result}")
        return f"Samples({'; '.join(parts)})"


def _leaf_name(path: Any) -> str:
    return jax.tree_util.keystr(path).strip("[]'.") or "x"
