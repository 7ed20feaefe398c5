"""Factor graphs from files in the format of the UAI inference competitions."""

from __future__ import annotations

import math
from os import PathLike
from pathlib import Path

import numpy as np

from energax._errors import ArgumentError, DataError
from energax.energies.graphs._factor_graph import FactorGraph

_MOST_ENTRIES = 2**28
"""Entries of all tables of a file, so that a wrong number is a sentence and not a lack of memory."""


class _Words:
    """The words of a file one after the other, each with its line number."""

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = path
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read as a text file: {error}.") from error
        self.words = [(word, number) for number, line in enumerate(lines, 1) for word in line.split()]
        self.last_line = max(len(lines), 1)
        self.place = 0

    def error(self, sentence: str, back: int = 1) -> DataError:
        """What is wrong at the word that was taken last."""
        at = self.place - back
        line = self.words[at][1] if 0 <= at < len(self.words) else self.last_line
        return DataError(f"{self.path}, line {line}: {sentence}")

    def take(self, what: str) -> str:
        """The next word."""
        if self.place >= len(self.words):
            raise self.error(f"the file ends where {what} should be.", back=0)
        self.place += 1
        return self.words[self.place - 1][0]

    def whole(self, what: str, low: int, high: int) -> int:
        """The next word as a whole number from `low` to `high`."""
        word = self.take(what)
        if not (word.isascii() and word.isdigit() and low <= int(word) <= high):
            raise self.error(f"{what} should be a whole number from {low} to {high}, not {word[:30]!r}.")
        return int(word)

    def factor(self, what: str) -> float:
        """The next word as a number that is not negative."""
        word = self.take(what)
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not 0 <= value < math.inf:
            raise self.error(f"{what} should be a number that is not negative, not {word[:30]!r}.")
        return value

    def finish(self) -> None:
        """Raise if words are left."""
        if self.place < len(self.words):
            raise self.error(f"nothing should follow, but there is {self.words[self.place][0][:30]!r}.", back=0)


def read_uai(path: str | PathLike[str], evidence: str | PathLike[str] | None = None) -> FactorGraph:
    """The factor graph of a network in the UAI format, given the evidence of a file if there is one.

    The file says MARKOV (or BAYES, whose tables are conditional laws), the number of variables, their numbers of
    categories, the number of tables, the scope of each, and then each table after the number of its entries, the last
    variable of the scope running fastest. Entries are factors φ ≥ 0, so that θ = log φ and log Z is that of the
    competitions; 0 forbids a combination. An evidence file says how many variables are observed, and then pairs of a
    variable and its value.

    Args:
        path: The network.
        evidence: The evidence, taken into the tables: the energy is then one over the other variables.

    Raises:
        DataError: A file cannot be read or is not in the format; the message names the line.

    Example:
        >>> import pathlib, tempfile
        >>> from energax import energies, exact
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "pair.uai"
        >>> _ = file.write_text("MARKOV 2  2 2  1  2 0 1  4  1 2 3 4")
        >>> round(exact.log_z(energies.read_uai(file)), 4)  # log 10
        2.3026

    References:
        [gogate2014]
    """
    words = _Words(path)
    if (kind := words.take("the kind of the network")) not in ("MARKOV", "BAYES"):
        raise words.error(f"a network begins with MARKOV or BAYES, not with {kind[:30]!r}.")
    most = len(words.words)
    counts = [
        words.whole(f"the number of categories of variable {i}", 1, most)
        for i in range(words.whole("the number of variables", 1, most))
    ]
    scopes = [_scope(words, i, len(counts)) for i in range(words.whole("the number of tables", 1, most))]
    constant, factors = 0.0, list[tuple[tuple[int, ...], np.ndarray]]()
    for number, scope in enumerate(scopes):
        table = _table(words, number, [counts[i] for i in scope])
        with np.errstate(divide="ignore"):
            logs = np.log(table)
        if scope:
            factors.append((scope, logs))
        else:
            constant += float(logs)
    words.finish()
    if not factors:
        raise DataError(f"{path} has no table over any variable.")
    graph = FactorGraph(counts, factors, constant=constant)
    return graph if evidence is None else _given(graph, evidence)


def _scope(words: _Words, number: int, num_variables: int) -> tuple[int, ...]:
    size = words.whole(f"the number of variables of table {number}", 0, num_variables)
    scope = tuple(words.whole(f"a variable of table {number}", 0, num_variables - 1) for _ in range(size))
    if len(set(scope)) < size:
        raise words.error(f"table {number} names a variable twice.")
    return scope


def _table(words: _Words, number: int, shape: list[int]) -> np.ndarray:
    size = math.prod(shape)
    if size > _MOST_ENTRIES:
        raise words.error(f"table {number} would have {size} entries, more than can be read.")
    given = words.whole(f"the number of entries of table {number}", 0, max(len(words.words), size))
    if given != size:
        raise words.error(f"table {number} has {size} entries by its scope, not {given}.")
    return np.asarray([words.factor(f"an entry of table {number}") for _ in range(size)]).reshape(shape)


def _given(graph: FactorGraph, path: str | PathLike[str]) -> FactorGraph:
    words, num_variables = _Words(path), len(graph.scopes.counts)
    # Older files say first how many sets of evidence there are.
    several = len(words.words) % 2 == 0 and len(words.words) > 0
    if several and words.whole("the number of sets of evidence", 1, num_variables) != 1:
        raise words.error("there is more than one set of evidence: keep the one that is wanted.")
    held: dict[int, int] = {}
    for _ in range(words.whole("the number of observed variables", 0, num_variables)):
        variable = words.whole("an observed variable", 0, num_variables - 1)
        if variable in held:
            raise words.error(f"variable {variable} is observed twice.")
        most = int(graph.scopes.counts[variable]) - 1
        held[variable] = words.whole(f"the value of variable {variable}", 0, most)
    words.finish()
    try:
        return graph.given(held) if held else graph
    except ArgumentError as error:
        raise DataError(f"{path}: {error}") from error
