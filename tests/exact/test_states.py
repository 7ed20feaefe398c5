import numpy as np
import pytest

from energax import exact
from energax._errors import NotTractable
from energax.spaces import Binary, Categorical, Euclidean, Product, Spins


def test_states_are_all_distinct_and_in_lexicographic_order():
    assert exact.states(Binary(2)).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    table = exact.states(Categorical((2, 2), num_categories=3))
    assert table.shape == (81, 2, 2)
    assert len({row.tobytes() for row in table}) == 81
    assert table.dtype == np.int8


def test_products_of_spaces_are_enumerated_jointly():
    space = Product({"spin": Spins(2), "label": Categorical((), num_categories=3)})
    table = exact.states(space)
    assert table["label"].shape == (12,)
    assert table["spin"].shape == (12, 2)
    assert len({(int(a), tuple(b)) for a, b in zip(table["label"], table["spin"], strict=True)}) == 12


@pytest.mark.parametrize("chunk_size", [1, 2, 5, 64, 10**6])
def test_chunks_are_the_states_whatever_their_size(chunk_size):
    space = Categorical(4, num_categories=3)
    chunks = list(exact.state_chunks(space, chunk_size=chunk_size))
    assert np.array_equal(np.concatenate(chunks), exact.states(space))
    assert all(len(c) <= max(chunk_size, 3) for c in chunks)


def test_counts_are_exact_integers_however_large():
    assert exact.num_states(Spins((20, 20))) == 2**400
    first = next(exact.state_chunks(Spins((20, 20)), chunk_size=4))
    assert first.shape == (4, 20, 20)


def test_what_cannot_be_listed_is_refused_with_its_size():
    with pytest.raises(NotTractable, match=r"about 10\^19\.3 configurations.*state_chunks"):
        exact.states(Binary(64))
    with pytest.raises(NotTractable, match="infinitely many"):
        exact.states(Euclidean(2))
    with pytest.raises(NotTractable, match="infinitely many"):
        exact.num_states(Product({"a": Binary(2), "b": Euclidean(1)}))
