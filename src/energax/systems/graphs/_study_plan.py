"""What a study of uncertainty is: data, so that it can be stored, continued and repeated."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from energax import runs
from energax._errors import ArgumentError, RunError, nearest
from energax.systems.graphs._networks import NETWORKS
from energax.systems.graphs._scores import NODE_SCORES
from energax.systems.graphs._shifts import SHIFTS

_PLAN = "uncertainty.json"
_FORMAT = 1
_MOST = 1000


@dataclasses.dataclass(frozen=True)
class UncertaintyPlan:
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

    graph: str
    methods: tuple[str, ...]
    shifts: tuple[str, ...]
    model: str = "gcn"
    outputs: str | None = None
    splits: int = 5
    inits: int = 5
    seed: int = 0

    def save(self, directory: Path) -> None:
        """Write the plan; one that is there already has to be the same.

        Raises:
            RunError: The directory holds something else, or cannot be written to.
        """
        try:
            if (directory / _PLAN).exists():
                if load_uncertainty_plan(directory) != self:
                    raise RunError(f"{directory} holds another study: repeat its options, or take another --out.")
                return
            directory.mkdir(parents=True, exist_ok=True)
            if any(directory.iterdir()):
                raise RunError(f"{directory} is not empty and holds no study: take another --out.")
            text = json.dumps({"format": _FORMAT, **dataclasses.asdict(self)}, indent=2) + "\n"
            runs.replace_file(directory / _PLAN, text.encode())
        except OSError as error:
            raise RunError(f"{directory} cannot be written to: {error.strerror or error}.") from error

    @property
    def command(self) -> str:
        """The command that asks for it."""
        parts = ["energax", "uncertainty", self.graph, "--method", ",".join(self.methods)]
        if self.outputs is not None:
            return shlex.join([*parts, "--outputs", self.outputs])
        parts += ["--model", self.model, "--shift", ",".join(self.shifts)]
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
    methods, asked_for_all = _names("method", method, NODE_SCORES), method == "all"
    if outputs is not None:
        methods = tuple(name for name in methods if not (asked_for_all and NODE_SCORES[name].needs))
        return UncertaintyPlan(graph, methods, ("given",), model, str(outputs), 1, 1, seed)
    if inits < 2 and "ensemble" in methods:
        if not asked_for_all:
            raise ArgumentError("The method ensemble needs several networks: --inits 2 or more.")
        methods = tuple(name for name in methods if name != "ensemble")
    return UncertaintyPlan(graph, methods, _names("shift", shift, SHIFTS), model, None, splits, inits, seed)


def is_uncertainty(directory: str | Path) -> bool:
    """Whether a directory holds a study of uncertainty."""
    return (Path(directory) / _PLAN).is_file()


def load_uncertainty_plan(directory: str | Path) -> UncertaintyPlan:
    """The plan in a directory.

    Raises:
        RunError: There is none, or it is damaged.
    """
    path = Path(directory) / _PLAN
    try:
        stored = json.loads(path.read_text())
        if stored.pop("format") != _FORMAT:
            raise RunError(f"{path} was written by another version of energax.")
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
        plan = UncertaintyPlan(**fields)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise RunError(f"{path} cannot be read ({error}).") from error
    return plan


def _names(flag: str, text: str, known: Iterable[str]) -> tuple[str, ...]:
    names = list(known)
    chosen = names if text == "all" else [part.strip() for part in text.split(",") if part.strip()]
    for name in chosen:
        if name not in names:
            raise ArgumentError(f"There is no {flag} {name!r}. {nearest(name, names)}")
    if not chosen:
        raise ArgumentError(f"--{flag} is empty. {nearest('', names)}")
    return tuple(dict.fromkeys(chosen))
