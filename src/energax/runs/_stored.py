"""A plan in its directory: written before anything runs, and the same from then on."""

from __future__ import annotations

import abc
import dataclasses
import json
from pathlib import Path
from typing import Any, ClassVar, Self

from energax._errors import RunError
from energax._files import DRAFT, replace_file

_FORMAT = 1


@dataclasses.dataclass(frozen=True)
class AbstractPlan(abc.ABC):
    """What is asked, as data: fields of text, numbers, tuples and mappings of them.

    Attributes:
        kind: What is planned, in a word.
        file: Name of the file in its directory.
    """

    kind: ClassVar[str]
    file: ClassVar[str]

    @property
    @abc.abstractmethod
    def command(self) -> str:
        """The command that asks for it."""

    def save(self, directory: Path) -> None:
        """Write the plan; one that is there already has to be the same.

        Raises:
            RunError: The directory holds something else, or cannot be written to.
        """
        path = directory / self.file
        if path.exists():
            if self.load(directory) != self:
                raise RunError(f"{directory} holds another {self.kind}: repeat its options, or take another --out.")
            return
        try:
            directory.mkdir(parents=True, exist_ok=True)
            if any(found.suffix != DRAFT for found in directory.iterdir()):
                raise RunError(f"{directory} is not empty and holds no {self.kind}: take another --out.")
            text = json.dumps({"format": _FORMAT, **dataclasses.asdict(self)}, indent=2) + "\n"
            replace_file(path, text.encode())
        except OSError as error:
            raise RunError(f"{directory} cannot be written to: {error.strerror or error}.") from error

    def changed(self, what: str, directory: Path) -> RunError:
        """What is said where a file or a model is no longer the one that the plan was made for."""
        return RunError(
            f"{what} is not what the {self.kind} in {directory} began with, so the two parts would not belong "
            f"together. Put the old one back, or start a new {self.kind}."
        )

    @classmethod
    def is_in(cls, directory: str | Path) -> bool:
        """Whether one of this kind was begun in a directory."""
        return (Path(directory) / cls.file).is_file()

    @classmethod
    def load(cls, directory: str | Path) -> Self:
        """The plan that a directory holds.

        Raises:
            RunError: There is none, or it cannot be read.
        """
        path = Path(directory) / cls.file
        try:
            stored: dict[str, Any] = json.loads(path.read_text())
            # Plans of simulations and free energies had none at first.
            if stored.pop("format", _FORMAT) != _FORMAT:
                raise RunError(f"{path} was written by another version of energax.")
            return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()})
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise RunError(f"The {cls.kind} in {directory} cannot be read: {error}.") from error
