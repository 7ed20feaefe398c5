"""What a study of uncertainty is: data, so that it can be stored, continued and repeated."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterable
from typing import ClassVar

from energax._errors import ArgumentError, nearest
from energax.runs import AbstractPlan
from energax.systems import NETWORKS, NODE_SCORES, SHIFTS

_MOST = 1000


@dataclasses.dataclass(frozen=True)
class UncertaintyPlan(AbstractPlan):
    """One question: how well scores of nodes tell which of them are out of distribution.

    Attributes:
        graph: Name of a graph, or a file.
        methods: Names of scores.
        shifts: Names of shifts.
        model: Name of the network.
        outputs: A file with the outputs of another network, which takes the place of training and shifts; None without.
        splits: Splits into training and validation nodes.
        inits: Networks for each split.
        seed: Of everything random; another one also draws other test nodes.
    """

    kind: ClassVar[str] = "study"
    file: ClassVar[str] = "uncertainty.json"

    graph: str
    methods: tuple[str, ...]
    shifts: tuple[str, ...]
    model: str = "gcn"
    outputs: str | None = None
    splits: int = 5
    inits: int = 5
    seed: int = 0

    @property
    def command(self) -> str:
        """The command that asks for it."""
        every = _every_method(self.outputs, self.inits)
        method = "all" if self.methods == every else ",".join(self.methods)
        parts = ["energax", "uncertainty", self.graph, "--method", method]
        if self.outputs is not None:
            return shlex.join([*parts, "--outputs", self.outputs])
        shift = "all" if self.shifts == tuple(SHIFTS) else ",".join(self.shifts)
        parts += ["--model", self.model, "--shift", shift]
        return shlex.join([*parts, "--splits", str(self.splits), "--inits", str(self.inits), "--seed", str(self.seed)])


def plan_uncertainty(
    graph: str,
    *,
    method: str = "all",
    shift: str = "all",
    model: str = "gcn",
    outputs: str | None = None,
    splits: int = 5,
    inits: int = 5,
    seed: int = 0,
) -> UncertaintyPlan:
    """A plan from names: of methods and shifts several with commas between them, or ``all``.

    Raises:
        ArgumentError: Unknown names, or numbers that make no sense.
    """
    for name, value in {"splits": splits, "inits": inits}.items():
        if not 1 <= value <= _MOST:
            raise ArgumentError(f"--{name} must lie between 1 and {_MOST}; got {value}.")
    if not 0 <= seed < 2**31:
        raise ArgumentError(f"--seed must be a whole number from 0 to 2147483647; got {seed}.")
    if model not in NETWORKS:
        raise ArgumentError(f"There is no model {model!r}. {nearest(model, NETWORKS)}")
    methods = _every_method(outputs, inits) if method == "all" else _names("method", method, NODE_SCORES)
    if outputs is not None:
        return UncertaintyPlan(graph, methods, ("given",), model, str(outputs), 1, 1, seed)
    if inits < 2 and "ensemble" in methods:
        raise ArgumentError("The method ensemble needs several networks: --inits 2 or more.")
    return UncertaintyPlan(graph, methods, _names("shift", shift, SHIFTS), model, None, splits, inits, seed)


def _every_method(outputs: str | None, inits: int) -> tuple[str, ...]:
    """What ``all`` means: of given outputs what needs no others, of one network a split all but the ensemble."""
    if outputs is not None:
        return tuple(name for name, score in NODE_SCORES.items() if not score.needs)
    return tuple(name for name in NODE_SCORES if inits > 1 or name != "ensemble")


def _names(flag: str, text: str, known: Iterable[str]) -> tuple[str, ...]:
    names = list(known)
    chosen = names if text == "all" else [part.strip() for part in text.split(",") if part.strip()]
    for name in chosen:
        if name not in names:
            raise ArgumentError(f"There is no {flag} {name!r}. {nearest(name, names)}")
    if not chosen:
        raise ArgumentError(f"--{flag} is empty. {nearest('', names)}")
    return tuple(dict.fromkeys(chosen))
