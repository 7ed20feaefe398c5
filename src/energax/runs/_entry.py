"""One row of the registry: a name of the command line, its class, its typed options and how it is built."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from energax.data import Data
from energax.kernels import AbstractKernel

C = TypeVar("C")


@dataclasses.dataclass(frozen=True)
class Entry(Generic[C]):
    """One name of the command line.

    Attributes:
        name: What a user types.
        cls: The class of the library behind it.
        config: Dataclass of its options; every field has a default and a docstring below it.
        build: Makes the object.
        summary: One line for help texts and docs.
        domain: For models: the data that they describe, ``"binary"`` or ``"continuous"``.
    """

    name: str
    cls: type
    config: type[C]
    build: Callable[..., Any]
    summary: str
    domain: str | None = None


@dataclasses.dataclass(frozen=True)
class Given:
    """What an objective may be built from, beside its own options."""

    kernel: AbstractKernel
    """What moves its chains, if it has any."""
    data: Data
    """What it will learn from: the laws that it sets data against are fitted to them."""


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """Nothing to set."""
