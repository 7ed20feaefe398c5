"""The fetched sets, without a network: Pooch gets a transport that copies, fails, or delivers something else."""

import dataclasses
import gzip
import hashlib
import shutil
from pathlib import Path

import numpy as np
import pooch
import pytest
import requests

from energax._errors import DataError, MissingExtra
from energax.data import _fetch, _named, load
from energax.data._fetch import FASHION_MNIST, MNIST, Origin, Part, images


def idx(pixels):
    return b"".join(n.to_bytes(4, "big") for n in (0x0803, *pixels.shape)) + pixels.tobytes()


@dataclasses.dataclass
class World:
    """A small set, its files at two mirrors, and what a transport does with each mirror."""

    origin: Origin
    pixels: dict
    folder: Path
    asked: list
    broken: set


@pytest.fixture
def world(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    pixels = {
        "train": rng.integers(0, 256, (20, 28, 28), np.uint8),
        "test": rng.integers(0, 256, (6, 28, 28), np.uint8),
    }
    folder = tmp_path / "remote"
    folder.mkdir()
    parts = {}
    for name, values in pixels.items():
        content = idx(values)
        packed = gzip.compress(content, mtime=0)
        (folder / f"{name}.gz").write_bytes(packed)
        sha = hashlib.sha256(content).hexdigest()
        parts[name] = Part(f"{name}.gz", hashlib.md5(packed).hexdigest(), sha, len(values))
    origin = Origin("toy", "toy.npz", ("https://first.invalid/", "https://second.invalid/"), **parts)
    world = World(origin, pixels, folder, [], set())

    class Transport:
        def __init__(self, **options):
            assert options["timeout"] > 0

        def __call__(self, url, output_file, pooch):
            world.asked.append(url)
            mirror, name = url.rsplit("/", 1)
            if mirror in world.broken:
                raise requests.exceptions.ConnectionError(f"cannot reach {mirror}")
            shutil.copy(folder / name, output_file)

    monkeypatch.setattr(pooch, "HTTPDownloader", Transport)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.delenv("ENERGAX_DATA", raising=False)
    return world


def test_fetched_once_and_cached(world):
    for _ in range(2):
        parts, where = images(world.origin)
        assert np.array_equal(parts["train"], world.pixels["train"])
        assert np.array_equal(parts["test"], world.pixels["test"])
        assert where == "https://first.invalid/"
    assert len(world.asked) == 2


def test_the_next_mirror_is_tried(world):
    world.broken = {"https://first.invalid"}
    assert len(images(world.origin)[0]["train"]) == 20
    # each file: one try and the repeats at the first mirror, then one at the second
    assert len(world.asked) == 2 * (1 + _fetch._NUM_RETRIES + 1)


def test_a_damaged_cache_is_fetched_again(world, tmp_path):
    images(world.origin)
    cached = next((tmp_path / "cache").rglob("train.gz"))
    cached.write_bytes(cached.read_bytes()[:-10])
    assert np.array_equal(images(world.origin)[0]["train"], world.pixels["train"])
    assert len(world.asked) == 3


def test_offline_is_one_sentence_that_names_the_variable(world):
    world.broken = {"https://first.invalid", "https://second.invalid"}
    with pytest.raises(
        DataError, match=r"toy could not be fetched \(.*cannot reach.*set ENERGAX_DATA to a folder"
    ) as e:
        images(world.origin)
    assert "\n" not in str(e.value)


def test_another_content_is_refused(world):
    (world.folder / "train.gz").write_bytes(gzip.compress(idx(world.pixels["train"][::-1])))
    with pytest.raises(DataError, match="could not be fetched"):
        images(world.origin)
    # even when the file has the announced MD5, its content must be the published one
    changed = dataclasses.replace(
        world.origin.train, md5=hashlib.md5((world.folder / "train.gz").read_bytes()).hexdigest()
    )
    with pytest.raises(DataError, match="the checksum of the content differs"):
        images(dataclasses.replace(world.origin, train=changed))


def test_the_folder_of_the_variable(world, tmp_path, monkeypatch):
    monkeypatch.setenv("ENERGAX_DATA", str(tmp_path / "local"))
    with pytest.raises(DataError, match=r"holds neither images/toy\.npz nor toy\.npz"):
        images(world.origin)
    (tmp_path / "local" / "images").mkdir(parents=True)
    path = tmp_path / "local" / "images" / "toy.npz"
    np.savez(path, x_train=world.pixels["train"], x_test=world.pixels["test"])
    parts, where = images(world.origin)
    assert np.array_equal(parts["test"], world.pixels["test"])
    assert where == str(path)
    assert world.asked == []
    np.savez(path, x_train=world.pixels["train"] // 2, x_test=world.pixels["test"])
    with pytest.raises(DataError, match=r"x_train in .* is not toy as it was published: its checksum differs"):
        images(world.origin)
    np.savez(path, x_train=world.pixels["train"])
    with pytest.raises(DataError, match="has no arrays x_train and x_test"):
        images(world.origin)
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="is damaged"):
        images(world.origin)


def test_a_set_is_built_from_fetched_images(world, monkeypatch):
    monkeypatch.setattr(_named, "_NUM_VALID", 5)
    monkeypatch.setattr("energax.data._load.MAKERS", {"toy": _named._fetched(world.origin)})
    data = load("toy", binarize="stochastic")
    assert (len(data.train), len(data.valid), len(data.test)) == (15, 5, 6)
    assert np.array_equal(data.valid.raw(np.arange(5)), world.pixels["train"][15:])


def test_pooch_is_named_when_it_is_missing(world, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingExtra, match=r'pip install "energax\[cli\]"'):
        images(world.origin)


def test_published_checksums_are_complete():
    for origin in (MNIST, FASHION_MNIST):
        for part in (origin.train, origin.test):
            assert len(part.md5) == 32
            assert len(part.sha256) == 64
    assert len({part.md5 for o in (MNIST, FASHION_MNIST) for part in (o.train, o.test)}) == 4
