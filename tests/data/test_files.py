"""Users' own files and folders: every format, every kind of values, splits, and what is larger than memory."""

import numpy as np
import pytest
from PIL import Image

from energax._errors import MissingExtra
from energax.data import from_array, load
from energax.data._images import read_folder
from energax.spaces import Binary, Euclidean


def save_images(folder, pictures, suffix=".png"):
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{number:03d}{suffix}")


def all_raw(data):
    return np.concatenate([split.raw(np.arange(len(split))) for split in (data.train, data.valid, data.test)])


def test_npy_table_is_mapped_split_and_standardised(tmp_path, table):
    np.save(tmp_path / "heights.npy", table)
    data = load(tmp_path / "heights.npy")
    assert data.name == "heights"
    assert data.kind == "table"
    assert data.space == Euclidean(3, initial_scale=1.0)
    assert (len(data.train), len(data.valid), len(data.test)) == (32, 4, 4)
    assert isinstance(data.train.source.values, np.memmap)
    rows = data.train.array()
    assert np.allclose(rows.mean(0), 0, atol=1e-5)
    assert np.allclose(rows.std(0), 1, atol=1e-5)
    assert np.allclose(data.transform.inverse(rows), data.train.raw(np.arange(32)), atol=1e-5)
    assert np.array_equal(np.sort(all_raw(data)[:, 0]), np.sort(table[:, 0]))
    assert any("split at random" in note for note in data.notes)


def test_the_split_depends_on_the_seed_alone(tmp_path, table):
    np.save(tmp_path / "a.npy", table)
    one, same, other = (load(tmp_path / "a.npy", seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one.test.raw(np.arange(4)), same.test.raw(np.arange(4)))
    assert not np.array_equal(one.test.raw(np.arange(4)), other.test.raw(np.arange(4)))


@pytest.mark.parametrize(
    "keys",
    [("x_train", "x_test"), ("train", "test"), ("train", "test", "valid"), ("x",), ("anything",), ("x_test", "y_test")],
)
def test_npz_layouts(tmp_path, table, keys):
    arrays = {key: table + number for number, key in enumerate(keys)}
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    data = load(tmp_path / "a.npz")
    if len(keys) == 1 or keys[1] == "y_test":
        assert len(data.train) == 32
        assert np.array_equal(np.sort(all_raw(data)[:, 0]), np.sort(table[:, 0]))
    else:
        assert np.array_equal(data.test.raw(np.arange(40)), arrays[keys[1]])
        assert len(data.train) == (40 if "valid" in keys else 36)


def test_csv_with_names(tmp_path, table):
    np.savetxt(tmp_path / "a.csv", table, delimiter=",", header="age,height,weight", comments="")
    data = load(tmp_path / "a.csv")
    assert data.columns == ("age", "height", "weight")
    assert np.allclose(np.sort(all_raw(data), 0), np.sort(table, 0))


@pytest.mark.parametrize(("delimiter", "name"), [(",", "a.csv"), (";", "a.csv"), ("\t", "a.tsv")])
def test_csv_without_names(tmp_path, table, delimiter, name):
    np.savetxt(tmp_path / name, table, delimiter=delimiter)
    data = load(tmp_path / name)
    assert data.columns == ("0", "1", "2")
    assert len(data.train) == 32


def test_csv_as_spreadsheets_and_data_frames_write_it(tmp_path, table):
    lines = [",0,1,2", *(f'{i},"{a:.3f}", {b:.3f} ,{c:.3f}' for i, (a, b, c) in enumerate(table)), "", ""]
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    data = load(tmp_path / "a.csv")
    assert data.columns == ("0", "1", "2")
    assert any("counts the rows" in note for note in data.notes)
    assert np.allclose(np.sort(all_raw(data), 0), np.sort(table.round(3), 0))


def test_duplicate_names_are_allowed(tmp_path, table):
    np.savetxt(tmp_path / "a.csv", table, delimiter=",", header="a,a,a", comments="")
    assert load(tmp_path / "a.csv").columns == ("a", "a", "a")


def test_parquet(tmp_path, table):
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"x": table[:, 0], "k": np.arange(40), "flag": np.arange(40) % 2 == 0}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    data = load(tmp_path / "a.parquet")
    assert data.columns == ("x", "k", "flag")
    assert np.array_equal(np.sort(all_raw(data)[:, 1]), np.arange(40))


def test_missing_packages_are_named(tmp_path, monkeypatch):
    import sys

    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r'pip install "energax\[parquet\]"'):
        load(tmp_path / "a.parquet")
    save_images(tmp_path / "pictures", np.zeros((4, 3, 3), np.uint8))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtra, match=r'pip install "energax\[cli\]"'):
        load(tmp_path / "pictures")
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtra, match=r'pip install "energax\[cli\]"'):
        load("digits")


def test_a_folder_of_images_with_class_folders(tmp_path, pictures):
    save_images(tmp_path / "faces" / "a", pictures[:10])
    save_images(tmp_path / "faces" / "b" / "deep", pictures[10:], ".bmp")
    (tmp_path / "faces" / "notes.txt").write_text("not an image")
    (tmp_path / "faces" / ".hidden.png").write_text("nor this")
    data = load(tmp_path / "faces")
    assert data.name == "faces"
    assert data.kind == "image"
    assert data.image_shape == (6, 5)
    assert data.num_levels == 256
    found = {row.tobytes() for row in all_raw(data)}
    assert found == {picture.tobytes() for picture in pictures}


def test_colour_images_and_given_parts(tmp_path):
    colour = np.random.default_rng(0).integers(0, 256, (8, 4, 6, 3)).astype(np.uint8)
    save_images(tmp_path / "train", colour[:6])
    save_images(tmp_path / "test", colour[6:])
    data = load(tmp_path)
    assert data.image_shape == (4, 6, 3)
    assert data.space == Euclidean(72, initial_scale=1.0)
    assert np.array_equal(data.test.raw(np.arange(2)), colour[6:])


def test_images_beyond_the_memory_limit_are_read_for_each_batch(tmp_path, pictures):
    save_images(tmp_path, pictures)
    parts, _ = read_folder(tmp_path, memory=100)
    held, _ = read_folder(tmp_path)
    assert not parts["all"].in_memory
    assert held["all"].in_memory
    index = np.array([4, 0, 29])
    assert np.array_equal(parts["all"].read(index), pictures[index])
    assert np.array_equal(parts["all"].read(slice(3, 7)), pictures[3:7])
    before = parts["all"].digest()
    Image.fromarray(pictures[0]).save(tmp_path / "003.png")
    assert parts["all"].digest() != before


def test_rows_of_a_mapped_file_are_not_read_whole(tmp_path):
    """A sparse file of 4 GB: only what is asked for is touched, so this passes in a process that has less memory."""
    mapped = np.lib.format.open_memmap(tmp_path / "big.npy", mode="w+", dtype=np.float32, shape=(10_000_000, 100))
    mapped[9_999_999] = 1.0
    mapped.flush()
    from energax.data._arrays import read_npy

    source = read_npy(tmp_path / "big.npy")[0]["all"]
    assert source.num_rows == 10_000_000
    assert source.read(np.array([9_999_999, 0])).sum() == 100
    assert len(source.digest()) == 64


@pytest.mark.parametrize("values", [(0, 1), (-1, 1)])
@pytest.mark.parametrize("dtype", [np.int8, np.float64])
def test_two_values_are_binary_units(values, dtype):
    rows = np.random.default_rng(1).choice(values, (50, 4, 4)).astype(dtype)
    data = from_array(rows)
    assert data.space == Binary(16)
    taken = data.train.array()
    assert taken.dtype == np.int8
    assert set(np.unique(taken)) == {0, 1}
    assert np.array_equal(data.transform.inverse(taken).reshape(-1, 4, 4), data.train.raw(np.arange(40)))


def test_truth_values_are_binary_units():
    rows = np.random.default_rng(1).integers(0, 2, (50, 6)).astype(bool)
    assert np.array_equal(from_array(rows).train.array(), from_array(rows.astype(np.uint8)).train.array())


def test_constant_columns_of_binary_data_and_images_are_noted(pictures):
    rows = np.random.default_rng(1).integers(0, 2, (50, 6))
    rows[:, 2:4] = 0
    assert any("2 of 6 entries never change" in note for note in from_array(rows).notes)
    pictures = pictures.copy()
    pictures[:, 0, :] = 9
    assert any("5 of 30 entries never change" in note for note in from_array(pictures).notes)


@pytest.mark.parametrize(
    ("make", "num_levels", "words"),
    [
        (lambda p: p, 256, "256 grey levels"),
        (lambda p: p // 16, 16, "16 grey levels"),
        (lambda p: (p / 255).astype(np.float32), 256, "256 grey levels"),
        (lambda p: p / 255 * 0.77, None, "no grid"),
        (lambda p: p / 10 - 3, None, "continuous field"),
        (lambda p: np.where(p > 99, 255, 0), 256, "without loss"),
    ],
)
def test_kinds_of_pixels(pictures, make, num_levels, words):
    data = from_array(make(pictures))
    assert data.kind == "image"
    assert data.num_levels == num_levels
    assert any(words in note for note in data.notes)
    rows = data.train.array()
    assert abs(rows.mean()) < 0.1
    assert abs(rows.std() - 1) < 0.1


def test_float_pixels_give_the_same_rows_as_bytes(pictures):
    as_bytes, as_floats = from_array(pictures), from_array(pictures / 255)
    index = np.arange(10)
    assert np.allclose(as_bytes.train.take(index), as_floats.train.take(index), atol=1e-5)
    one, other = (from_array(p, binarize="stochastic") for p in (pictures, pictures / 255))
    assert np.array_equal(one.train.take(index, draw=3), other.train.take(index, draw=3))


def test_channel_first_and_single_channel(pictures):
    planes = np.stack([pictures] * 3, 1)
    data = from_array(planes, flatten=False)
    assert data.image_shape == (6, 5, 3)
    assert np.array_equal(data.train.raw(np.arange(3))[..., 0], data.train.raw(np.arange(3))[..., 2])
    assert any("colour first" in note for note in data.notes)
    assert from_array(pictures[..., None], flatten=False).space.shape == (6, 5)


def test_flat_rows_can_be_images(pictures):
    data = from_array(pictures.reshape(30, 30), image_shape=(6, 5), binarize="threshold")
    assert (data.kind, data.image_shape) == ("image", (6, 5))
    assert np.array_equal(data.train.take(np.arange(3)), data.train.raw(np.arange(3)) >= 128)


def test_binarize_on_binary_data_is_noted():
    rows = np.random.default_rng(1).integers(0, 2, (50, 6))
    data = from_array(rows, binarize="threshold")
    assert data.binarize is None
    assert any("binary already" in note for note in data.notes)


def test_probabilities_in_a_table_can_be_binarized():
    rows = np.random.default_rng(1).uniform(size=(50, 6))
    data = from_array(rows, binarize="threshold")
    assert data.space == Binary(6)
    assert np.array_equal(data.train.take(np.arange(5)), data.train.raw(np.arange(5)) >= 0.5)


def test_whole_numbers_in_a_table_are_noted():
    rows = np.random.default_rng(1).integers(0, 9, (50, 2))
    assert any("whole numbers" in note for note in from_array(rows).notes)


def test_statistics_come_from_the_training_rows_alone():
    rng = np.random.default_rng(0)
    train, test = rng.normal(size=(50, 2)), 100 + rng.normal(size=(9, 2))
    data = from_array(train, test=test, valid=test)
    assert np.allclose(data.transform.mean, train.mean(0))
    assert np.allclose(data.transform.scale, train.std(0))


def test_statistics_by_chunks_are_those_of_the_whole(monkeypatch, table):
    whole = from_array(table)
    monkeypatch.setattr("energax.data._sources._CHUNK_VALUES", 10)
    parts = from_array(table)
    assert np.allclose(parts.transform.mean, whole.transform.mean, rtol=1e-12)
    assert np.allclose(parts.transform.scale, whole.transform.scale, rtol=1e-12)
    assert np.allclose(whole.transform.mean, whole.train.raw(np.arange(32)).mean(0), rtol=1e-12)


def test_splits_too_large_to_list_are_windows_on_a_permutation(monkeypatch, table):
    listed = from_array(table)
    monkeypatch.setattr("energax.data._split._MAX_LISTED", 0)
    lazy = from_array(table)
    assert np.array_equal(listed.train.array(), lazy.train.array())


def test_the_fingerprint_notices_changed_values(tmp_path, table):
    np.save(tmp_path / "a.npy", table)
    before = load(tmp_path / "a.npy").fingerprint
    assert load(tmp_path / "a.npy").fingerprint == before
    table[17, 1] += 1e-9
    np.save(tmp_path / "a.npy", table)
    assert load(tmp_path / "a.npy").fingerprint != before


def test_arrays_beyond_two_gigabytes_are_refused(monkeypatch, table):
    from energax._errors import DataError

    monkeypatch.setattr("energax.data._split._MAX_ARRAY_BYTES", 100)
    with pytest.raises(DataError, match="read them in batches with `take`"):
        from_array(table).train.array()


def test_double_precision_where_the_caller_enabled_it(table):
    import jax

    with jax.enable_x64(True):
        assert from_array(table).train.array().dtype == np.float64
    assert from_array(table).train.array().dtype == np.float32


@pytest.mark.needs_data
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_real_image_sets(name):
    data = load(name, binarize="stochastic")
    assert (len(data.train), len(data.valid), len(data.test)) == (50_000, 10_000, 10_000)
    batch = data.train.take(np.arange(128), draw=1)
    assert (batch.shape, batch.dtype) == ((128, 784), np.int8)
    assert data.image_shape == (28, 28)
