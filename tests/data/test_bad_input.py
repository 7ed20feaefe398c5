"""What cannot be used is refused in one sentence that says what is wrong, where, and what to do."""

import os

import numpy as np
import pytest
from PIL import Image

from energax._errors import DataError
from energax.data import from_array, load


def refused(path, message):
    with pytest.raises(DataError, match=message) as caught:
        load(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert len(text) < 400


def test_missing(tmp_path):
    refused(tmp_path / "a.npy", r"There is no file .*a\.npy: check the path")
    with pytest.raises(DataError, match=r"no data set or file called 'two-moon'\. Did you mean 'two-moons'"):
        load("two-moon")


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv", ".parquet"])
def test_empty_file(tmp_path, suffix):
    (tmp_path / f"a{suffix}").write_bytes(b"")
    refused(tmp_path / f"a{suffix}", r"is empty \(0 bytes\)")


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".parquet"])
def test_not_what_the_suffix_says(tmp_path, suffix):
    (tmp_path / f"a{suffix}").write_bytes(b"this is not an array" * 10)
    refused(tmp_path / f"a{suffix}", "is not a (NumPy|Parquet)")


def test_unknown_suffix(tmp_path):
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    refused(tmp_path / "a.xlsx", r"has the suffix '\.xlsx'; energax reads \.npy, \.npz, \.csv")
    (tmp_path / "a").write_bytes(b"PK")
    refused(tmp_path / "a", "has no suffix")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable(tmp_path):
    np.save(tmp_path / "a.npy", np.eye(4))
    (tmp_path / "a.npy").chmod(0)
    refused(tmp_path / "a.npy", "cannot be read .Permission denied")


def test_a_disk_that_fails(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", np.eye(4))

    def fail(*args, **kwargs):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(np, "load", fail)
    refused(tmp_path / "a.npy", r"cannot be read \(Input/output error\)")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(5), r"has the shape \(5,\).*\(N, 1\)"),
        (np.float64(3.0), r"has the shape \(\)"),
        (np.zeros((5, 2, 2, 2, 2)), "at most three axes"),
        (np.zeros((0, 3)), r"is empty: its shape is \(0, 3\)"),
        (np.zeros((4, 3), complex), "holds complex numbers"),
        (np.array([["a", "b"]] * 4), "holds text"),
        (np.zeros(4, "M8[s]"), "holds dates"),
        (np.zeros(4, [("a", float)]), "records with named fields"),
        (np.arange(3.0)[None], r"has one row; at least 4"),
        (np.arange(6.0).reshape(3, 2), r"has 3 rows; at least 4"),
        (np.ones((9, 3)), "All rows of .* are equal"),
        (np.stack([np.arange(9.0), np.full(9, 2.0), np.full(9, 3.0)], 1), "columns that never change .*: 1, 2;"),
    ],
    ids=str,
)
def test_arrays(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array)
    refused(tmp_path / "a.npy", message)


def test_pickles_are_never_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was loaded",))

    np.save(tmp_path / "a.npy", np.array([Trap(), Trap()], object), allow_pickle=True)
    refused(tmp_path / "a.npy", "Python objects .* never loads")
    np.savez(tmp_path / "a.npz", x=np.array([Trap()], object))
    refused(tmp_path / "a.npz", "Python objects .* never loads")


def test_cut_off_files(tmp_path, table):
    np.save(tmp_path / "a.npy", table)
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[:-100])
    refused(tmp_path / "a.npy", r"is cut off: its header announces 960 bytes .* 860 follow")
    (tmp_path / "a.npy").write_bytes(whole[:40])
    refused(tmp_path / "a.npy", "header is damaged")
    np.savez_compressed(tmp_path / "a.npz", x=table)
    zipped = bytearray((tmp_path / "a.npz").read_bytes())
    (tmp_path / "b.npz").write_bytes(zipped[:-30])
    refused(tmp_path / "b.npz", "not a NumPy archive, or it is cut off")
    zipped[200] ^= 0xFF
    (tmp_path / "a.npz").write_bytes(zipped)
    refused(tmp_path / "a.npz", "damaged")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_values_are_counted_and_placed(tmp_path, table, value):
    table[[17, 30, 31], [2, 0, 1]] = value
    np.save(tmp_path / "a.npy", table)
    refused(tmp_path / "a.npy", "NaN or infinity in 3 of 120 values, first at row 17, entry 2;")
    np.savetxt(tmp_path / "a.csv", table, delimiter=",", header="a,b,c", comments="")
    refused(tmp_path / "a.csv", "3 of 120 values, first at line 19, column 'c';")


def test_npz_keys(tmp_path, table):
    np.savez(tmp_path / "a.npz", features=table, more=table)
    refused(tmp_path / "a.npz", "holds the arrays features, more, and it is not clear which")
    np.savez(tmp_path / "b.npz")
    refused(tmp_path / "b.npz", "is empty: it holds no arrays")
    np.savez(tmp_path / "c.npz", train=table, test=table[:, :2])
    refused(tmp_path / "c.npz", r"have the shape \(2,\), but those of 'train' .* have \(3,\)")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3,four\n5,6\n7,8\n", r"Line 3, column 'b' of .* holds the text 'four', not a number"),
        ("1,2\n3,NA\n5,6\n7,8\n", r"Line 2, column 1 of .* holds the text 'NA'"),
        ("a,b\n1,2\n3,\n5,6\n7,8\n", r"Line 3, column 'b' of .* is empty"),
        ("a,b\n1,2\n3,4,5\n6,7\n8,9\n", r"Line 3 of .* has 3 fields, but 2 were expected"),
        ("a,b\n1\n3\n6\n8\n", r"Line 2 of .* has 1 fields, but 2 were expected"),
        ("a,b,c\n", "has the column names a, b, c, but no rows"),
        ("\n\n  \n", "is empty"),
        ("a,b\n1,2\n", "has one row"),
        ("a,b\n1,5\n2,5\n3,5\n4,5\n", "columns that never change in the training rows: 'b'"),
        ("1,a\n1,2\n", r"Line 1, column 1 of .* holds the text 'a'"),
    ],
)
def test_csv(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    refused(tmp_path / "a.csv", message)


def test_csv_in_another_encoding(tmp_path):
    (tmp_path / "a.csv").write_bytes("größe,b\n1,2\n3,4\n".encode("latin-1"))
    refused(tmp_path / "a.csv", "not a text file in UTF-8")
    (tmp_path / "b.csv").write_bytes(b"\x00\x01\x02\x03" * 50)
    refused(tmp_path / "b.csv", r"(not a table of text|not a number|is empty)")


def test_many_constant_columns_are_not_all_listed(tmp_path):
    rows = np.zeros((20, 30))
    rows[:, 0] = np.arange(20)
    np.save(tmp_path / "a.npy", rows)
    refused(tmp_path / "a.npy", "1, 2, 3, 4, 5 and 24 more;")


def test_parquet(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": [1.0, 2.0], "name": ["x", "y"]}), tmp_path / "a.parquet")
    refused(tmp_path / "a.parquet", "Column 'name' of .* holds values of the type string")
    pq.write_table(pa.table({"a": [1.0, None, 3.0, 4.0], "b": [1, 2, 3, 5]}), tmp_path / "b.parquet")
    refused(tmp_path / "b.parquet", "NaN or infinity in 1 of 8 values, first at row 1, column 'a'")
    pq.write_table(pa.table({"a": pa.array([], pa.float64())}), tmp_path / "c.parquet")
    refused(tmp_path / "c.parquet", "is empty: 0 rows and 1 columns")


def test_images(tmp_path, pictures):
    (tmp_path / "none").mkdir()
    refused(tmp_path / "none", r"holds no images: looked for \.bmp")
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(5):
        Image.fromarray(pictures[number]).save(folder / f"{number}.png")
    Image.fromarray(pictures[0][:, :3]).save(folder / "odd.png")
    refused(folder, r"odd\.png is 3 × 6 pixels, but .*0\.png is 5 × 6; all images must have one size")
    (folder / "odd.png").write_bytes(b"not a picture")
    refused(folder, r"odd\.png is not an image, or it is damaged")
    whole = (folder / "0.png").read_bytes()
    (folder / "odd.png").write_bytes(whole[:60])
    refused(folder, r"odd\.png is (damaged|not an image)")
    (folder / "odd.png").unlink()
    Image.fromarray(pictures[0].astype(np.uint16)).save(folder / "5.png")
    refused(folder, r"5\.png has pixels of the type 'I;16'")


def test_binarize_needs_intensities(table):
    with pytest.raises(DataError, match=r"array cannot be binarized: its values go from -.* intensities must lie"):
        from_array(table, binarize="threshold")


def test_all_dark_after_the_threshold(pictures):
    with pytest.raises(DataError, match="All training rows of array are equal after binarize='threshold'"):
        from_array((pictures // 16 + 100).astype(np.uint8), binarize="threshold")


def test_valid_without_test(table):
    with pytest.raises(DataError, match="`valid` was given without `test`"):
        from_array(table, valid=table)
