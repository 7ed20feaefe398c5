"""The image sets and their labels: fetched once from their public origin, or read from the folder in ENERGAX_DATA."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8

from energax._errors import DataError, MissingExtra

_VARIABLE = "ENERGAX_DATA"
_NUM_RETRIES = 2
_TIMEOUT_SECONDS = 30


@dataclasses.dataclass(frozen=True)
class Part:
    """One file of images or labels in the idx format.

    Args:
        file: Its name at the origin.
        md5: Of the compressed file, as its publishers give it.
        sha256: Of the uncompressed file: header and numbers.
        num_images: Number of images.
        row: Shape of one image; () for labels.
    """

    file: str
    md5: str
    sha256: str
    num_images: int
    row: tuple[int, ...] = (28, 28)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return (self.num_images, *self.row)


@dataclasses.dataclass(frozen=True)
class Origin:
    """A set of 28×28 images.

    Args:
        name: Its name in energax.
        archive: Name of the `.npz` file in the folder of ENERGAX_DATA.
        mirrors: Addresses to try in this order.
        train: Training images.
        test: Test images.
        train_labels: Their classes.
        test_labels: The same of test images.
    """

    name: str
    archive: str
    mirrors: tuple[str, ...]
    train: Part
    test: Part
    train_labels: Part | None = None
    test_labels: Part | None = None


MNIST = Origin(
    "mnist",
    "mnist.npz",
    ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    Part(
        "train-images-idx3-ubyte.gz",
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        60_000,
    ),
    Part(
        "t10k-images-idx3-ubyte.gz",
        "9fb629c4189551a2d022fa330f9573f3",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        10_000,
    ),
    Part(
        "train-labels-idx1-ubyte.gz",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        60_000,
        (),
    ),
    Part(
        "t10k-labels-idx1-ubyte.gz",
        "ec29112dd5afa0611ce80d1b7f02629c",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        10_000,
        (),
    ),
)

FASHION_MNIST = Origin(
    "fashion-mnist",
    "fashion_mnist.npz",
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    Part(
        "train-images-idx3-ubyte.gz",
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        60_000,
    ),
    Part(
        "t10k-images-idx3-ubyte.gz",
        "bef4ecab320f06d8554ea6380940ec79",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        10_000,
    ),
    Part(
        "train-labels-idx1-ubyte.gz",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        60_000,
        (),
    ),
    Part(
        "t10k-labels-idx1-ubyte.gz",
        "bb300cfdad3c16e7a12a480ee83cd310",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        10_000,
        (),
    ),
)


def images(origin: Origin) -> tuple[dict[str, UInt8[np.ndarray, "n 28 28"]], str]:
    """Training and test images, and where they came from.

    Whatever the way, the pixels are checked against the SHA-256 of the published files.

    Raises:
        DataError: ENERGAX_DATA is set and its folder does not hold the set; or it is not set and no origin answered;
            or the pixels are not those that were published.
        MissingExtra: Pooch is needed and not installed.
    """
    return _parts(origin, {"train": ("x_train", origin.train), "test": ("x_test", origin.test)})


def labels(origin: Origin) -> dict[str, UInt8[np.ndarray, " n"]]:
    """Classes of the training and test images, found and checked as `images`."""
    assert origin.train_labels is not None
    assert origin.test_labels is not None
    return _parts(origin, {"train": ("y_train", origin.train_labels), "test": ("y_test", origin.test_labels)})[0]


def _parts(origin: Origin, wanted: dict[str, tuple[str, Part]]) -> tuple[dict[str, np.ndarray], str]:
    folder = os.environ.get(_VARIABLE)
    if folder:
        return _from_folder(origin, Path(folder), wanted)
    return {name: _fetch(origin, part) for name, (_, part) in wanted.items()}, origin.mirrors[0]


def _from_folder(
    origin: Origin, folder: Path, wanted: dict[str, tuple[str, Part]]
) -> tuple[dict[str, np.ndarray], str]:
    candidates = (folder / "images" / origin.archive, folder / origin.archive)
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        raise DataError(
            f"{_VARIABLE} is {str(folder)!r}, which holds neither images/{origin.archive} nor {origin.archive}; put "
            f"the file there, or unset {_VARIABLE} to fetch {origin.name} from its origin."
        )
    arrays = [array for array, _ in wanted.values()]
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {name: archive[array] for name, (array, _) in wanted.items()}
    except (ValueError, EOFError, KeyError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} is damaged, or has no arrays {' and '.join(arrays)} ({error}).") from error
    for name, (array, part) in wanted.items():
        values = np.ascontiguousarray(found[name])
        if values.dtype != np.uint8 or not _is_published(_header(part) + values.tobytes(), part):
            raise DataError(f"{array} in {path} is not {origin.name} as it was published: its checksum differs.")
    return found, str(path)


def _fetch(origin: Origin, part: Part) -> Shaped[np.ndarray, "n ..."]:
    try:
        import pooch
    except ImportError as error:
        raise MissingExtra(f'Fetching {origin.name} needs Pooch: pip install "energax[cli]".') from error
    reasons = []
    for mirror in origin.mirrors:
        try:
            content = gzip.decompress(Path(_retrieve(pooch, origin, part, mirror)).read_bytes())
        # Pooch lets the errors of its transport through: requests' derive from OSError, a wrong checksum is ValueError
        except (OSError, ValueError, EOFError, zlib.error) as error:
            reasons.append(f"{mirror}: {_short(error)}")
            continue
        if _is_published(content, part):
            return np.frombuffer(content, np.uint8, offset=len(_header(part))).reshape(part.shape)
        reasons.append(f"{mirror}: the checksum of the content differs")
    raise DataError(
        f"{origin.name} could not be fetched ({'; '.join(reasons)}); connect to a network and try again, or set "
        f"{_VARIABLE} to a folder that holds images/{origin.archive}."
    )


def _retrieve(pooch: Any, origin: Origin, part: Part, mirror: str) -> str:
    """Path of the cached file, fetched if it is not there or damaged."""
    store = pooch.create(
        path=pooch.os_cache("energax") / origin.name,
        base_url=mirror,
        registry={part.file: f"md5:{part.md5}"},
        retry_if_failed=_NUM_RETRIES,
    )
    return store.fetch(part.file, downloader=pooch.HTTPDownloader(timeout=_TIMEOUT_SECONDS))


def _header(part: Part) -> bytes:
    return b"".join(n.to_bytes(4, "big") for n in (0x0800 + len(part.shape), *part.shape))


def _is_published(content: bytes, part: Part) -> bool:
    return hashlib.sha256(content).hexdigest() == part.sha256


def _short(error: BaseException) -> str:
    words = str(error).splitlines()[0] if str(error) else type(error).__name__
    return words if len(words) <= 120 else f"{type(error).__name__}: {words[:100]}…"
