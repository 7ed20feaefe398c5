"""Graphs by name, and graphs in files."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import scipy.sparse as sp

from energax._errors import DataError, MissingExtra, nearest
from energax.systems.graphs._graph import Features, Graph

_VARIABLE = "ENERGAX_DATA"
_TIMEOUT_SECONDS = 60
_CITATION = "https://raw.githubusercontent.com/abojchevski/graph2gauss/master/data/"
_BENCHMARK = "https://raw.githubusercontent.com/shchur/gnn-benchmark/master/data/npz/"
_UNREADABLE = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)


@dataclasses.dataclass(frozen=True)
class NamedGraph:
    """A graph that is fetched once from its public origin, or read from the folder in ENERGAX_DATA.

    Attributes:
        summary: One line about it.
        file: Its file in the folder ``graphs`` of ENERGAX_DATA.
        address: Where it is fetched from.
        sha256: Of its edges, labels and features as `fingerprint` writes them.
        num_left_out: Classes that comparisons leave out.
    """

    summary: str
    file: str
    address: str
    sha256: str
    num_left_out: int


NAMED_GRAPHS: Mapping[str, NamedGraph] = MappingProxyType(
    {
        "cora-ml": NamedGraph(
            "2995 papers, 7 fields",
            "cora_ml.npz",
            f"{_CITATION}cora_ml.npz",
            "623533521bf5af69a799bd5f98ba54ab55487bb24510ee76265d5dfed3a542ae",
            3,
        ),
        "citeseer-full": NamedGraph(
            "4230 papers, 6 fields",
            "citeseer_full.npz",
            f"{_CITATION}citeseer.npz",
            "017ae29e01663e2831152ece66d42714f6053d2e9125667e66f0600268091bbc",
            2,
        ),
        "dblp": NamedGraph(
            "17716 papers, 4 fields",
            "dblp_full.npz",
            f"{_CITATION}dblp.npz",
            "b5f4d92c164f2bcb59fc9efd8dab402efcb627a0bbd2971e313c44e321824e75",
            1,
        ),
        "cora": NamedGraph(
            "2708 papers, 7 fields",
            "cora.npz",
            f"{_BENCHMARK}cora.npz",
            "208a34def34d22d77cd890e321fc5fd694efe9727d9f6eb89cbe604af3102e33",
            3,
        ),
        "citeseer": NamedGraph(
            "3312 papers, 6 fields",
            "citeseer.npz",
            f"{_BENCHMARK}citeseer.npz",
            "79541381d366e1bb257c4cf8fe506ca62606ee6cf7997913bdec7d4f75cb38d1",
            2,
        ),
        "amazon-photo": NamedGraph(
            "7650 articles bought together, 8 kinds",
            "amazon_photo.npz",
            f"{_BENCHMARK}amazon_electronics_photo.npz",
            "cedff22ad4cc96bb5e93e4eadd6e74d095b4ee2b4f27179f7649ed8297364a04",
            3,
        ),
        "amazon-computers": NamedGraph(
            "13752 articles bought together, 10 kinds",
            "amazon_computers.npz",
            f"{_BENCHMARK}amazon_electronics_computers.npz",
            "bcb9ac1adec2989e6cafc4c5a751e0571174d389d0d90076d1bd6bf03de74ff8",
            4,
        ),
        "coauthor-physics": NamedGraph(
            "34493 authors, 5 fields",
            "coauthor_physics.npz",
            f"{_BENCHMARK}ms_academic_phy.npz",
            "d901dfe41d295dc14a6798ebc4c76b7140ab73f69eca141a1428a20075f9635e",
            2,
        ),
    }
)


def load_graph(source: str | os.PathLike[str]) -> Graph:
    """A graph by name or from a file.

    Features of named graphs are made zeros and ones, as the published comparisons do: 1 where a number is positive.

    Args:
        source: One of `NAMED_GRAPHS`; or an ``.npz`` file with ``features`` (n, d), ``edge_index`` (2, e) and
            ``labels`` (n,), or in the format of the public benchmarks: compressed rows ``adj_data``, ``adj_indices``,
            ``adj_indptr``, ``adj_shape``, the same with ``attr``, and ``labels``.

    Raises:
        DataError: Neither a name nor a file, a file that cannot be read, or values that make no graph.
        MissingExtra: Fetching needs Pooch, which is not installed.
    """
    name = str(source)
    if name in NAMED_GRAPHS:
        named = NAMED_GRAPHS[name]
        graph = _read(_located(name, named), name)
        if fingerprint(graph) != named.sha256:
            raise DataError(f"{name} is not the graph that was published: its checksum differs.")
        features = sp.csr_matrix(graph.features)
        features.data = (features.data > 0).astype(np.float32)
        features.eliminate_zeros()
        return dataclasses.replace(graph, features=features)
    path = Path(source)
    if not path.is_file():
        raise DataError(f"{name!r} is no named graph and no file. {nearest(name, NAMED_GRAPHS)}")
    return _read(path, path.stem)


def fingerprint(graph: Graph) -> str:
    """SHA-256 of the edges, the labels and the features other than zero of a graph."""
    features = sp.csr_matrix(graph.features).tocoo() if graph.features is not None else None
    digest = hashlib.sha256()
    parts = [graph.edges, graph.labels]
    if features is not None:
        order = np.lexsort((features.col, features.row))
        parts += [features.row[order].astype(np.int64), features.col[order].astype(np.int64)]
        parts += [features.data[order].astype(np.float32)]
    for part in parts:
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def _read(path: Path, name: str) -> Graph:
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path} cannot be read as a graph: it is no .npz file.")
    try:
        # Old files have names as pickled objects beside the arrays; only what is asked for is read.
        with np.load(path, allow_pickle=False) as file:
            known = set(file.files)
            labels = file["labels"] if "labels" in known else None
            if "edge_index" in known:
                edges: Any = file["edge_index"]
                features: Any = file["features"] if "features" in known else None
            else:
                matrix = _compressed(file, "adj")
                edges = None if matrix is None else np.stack(matrix.nonzero())
                if matrix is not None and labels is not None and set(matrix.shape) != {len(labels)}:
                    raise ValueError(f"{len(labels)} labels, but adj is {matrix.shape[0]} × {matrix.shape[1]}")
                features = _compressed(file, "attr")
            names = file["class_names"] if "class_names" in known and file["class_names"].dtype.kind == "U" else ()
    except _UNREADABLE as error:
        raise DataError(f"{path} cannot be read as a graph ({error}).") from error
    if labels is None or edges is None:
        raise DataError(
            f"{path} holds no graph: it needs labels, edge_index and features, or labels with adj_data, adj_indices, "
            f"adj_indptr, adj_shape and the same of attr; it has {', '.join(sorted(known)) or 'nothing'}."
        )
    return Graph(edges, labels, features, name, tuple(str(n) for n in names))


def _compressed(file: Any, stem: str) -> Features | None:
    """A matrix of compressed rows under either spelling of its parts; None if it is not there."""
    for form in (f"{stem}_{{}}", f"{stem}_matrix.{{}}"):
        keys = [form.format(part) for part in ("data", "indices", "indptr", "shape")]
        if all(key in file.files for key in keys):
            data, indices, indptr, shape = (file[key] for key in keys)
            return sp.csr_matrix((data, indices, indptr), tuple(int(n) for n in shape))
    return None


def _located(name: str, named: NamedGraph) -> Path:
    folder = os.environ.get(_VARIABLE)
    if folder:
        candidates = (Path(folder) / "graphs" / named.file, Path(folder) / named.file)
        found = next((path for path in candidates if path.is_file()), None)
        if found is None:
            raise DataError(
                f"{_VARIABLE} is {folder!r}, which holds neither graphs/{named.file} nor {named.file}; put the file "
                f"there, or unset {_VARIABLE} to fetch {name} from its origin."
            )
        return found
    try:
        import pooch
    except ImportError as error:
        raise MissingExtra(f'Fetching {name} needs Pooch: pip install "energax[cli]".') from error
    try:
        return Path(
            pooch.retrieve(
                named.address, None, fname=named.file, path=pooch.os_cache("energax") / "graphs",
                downloader=pooch.HTTPDownloader(timeout=_TIMEOUT_SECONDS),  # pyright: ignore[reportArgumentType]
            )
        )  # fmt: skip
    except (OSError, ValueError) as error:
        words = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise DataError(
            f"{name} could not be fetched from {named.address} ({words}); connect to a network and try again, or set "
            f"{_VARIABLE} to a folder that holds graphs/{named.file}."
        ) from error
