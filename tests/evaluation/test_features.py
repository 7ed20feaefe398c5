"""Feature networks: a recipe learns its classes, what is stored is what was trained, features are as asked."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import evaluation
from energax._errors import ArgumentError, DataError, ShapeError
from energax.data import Labelled, labelled
from energax.data._fetch import FASHION_MNIST, labels
from energax.evaluation import FeatureRecipe, class_logits, feature_quality, features, train_features
from energax.evaluation import _feature_recipe as recipes

SMALL = FeatureRecipe(channels=(8,), num_features=6, num_epochs=6, batch_size=32, learning_rate=0.02)


@pytest.fixture(scope="module")
def bars():
    """Pictures of one bar, across or upright, with noise: two classes that any network tells apart."""
    rng = np.random.default_rng(0)

    def some(count):
        classes = rng.integers(0, 2, count)
        pictures = rng.integers(0, 5, (count, 6, 6))
        at = rng.integers(0, 6, count)
        for picture, kind, where in zip(pictures, classes, at, strict=True):
            picture[(where, slice(None)) if kind else (slice(None), where)] += 11
        return pictures.astype(np.uint8), classes

    train, test = some(640), some(200)
    return Labelled("bars", *train, *test, num_levels=16, num_classes=2)


@pytest.fixture(scope="module")
def trained(bars):
    return train_features(bars, SMALL)


def test_a_recipe_learns_its_classes(bars, trained):
    assert trained.accuracy > 0.95
    assert trained.accuracy == np.mean(class_logits(trained.network, bars.test).argmax(1) == bars.test_labels)
    assert "6 features of bars-" in str(trained)


def test_stored_once_and_read_again(bars, trained, tmp_path, monkeypatch):
    """Bit by bit; a damaged file is made anew, another recipe is another file."""
    calls = []

    def train(images, recipe, *, progress):
        calls.append(recipe)
        return trained

    monkeypatch.setattr(recipes, "labelled", lambda name: bars)
    monkeypatch.setattr(recipes, "train_features", train)
    monkeypatch.setitem(recipes.RECIPES, "bars", SMALL)
    found = [evaluation.feature_network("bars", folder=tmp_path / "new") for _ in range(2)]
    assert len(calls) == 1
    assert found[1].accuracy == trained.accuracy
    for ours, theirs in zip(*(jax.tree.leaves(f.network) for f in found), strict=True):
        assert np.array_equal(ours, theirs)
    np.testing.assert_array_equal(*(features(f.network, bars.test[:3]) for f in found))
    path = next((tmp_path / "new").iterdir())
    path.write_bytes(path.read_bytes()[:-40])
    evaluation.feature_network("bars", folder=tmp_path / "new")
    monkeypatch.setitem(recipes.RECIPES, "bars", dataclasses.replace(SMALL, seed=1))
    evaluation.feature_network("bars", folder=tmp_path / "new")
    assert len(calls) == 3
    assert len(list((tmp_path / "new").iterdir())) == 2


def test_features_are_those_of_single_images(bars, trained):
    """Whatever the block, the shape and the units."""
    network = trained.network
    wanted = np.stack([network.features(jnp.asarray(x)) for x in bars.test[:3]])
    np.testing.assert_allclose(features(network, bars.test[:3]), wanted, rtol=1e-5, atol=1e-6)
    flat = bars.test[:3].reshape(3, 36) / 15.0 * 2.0 - 1.0
    np.testing.assert_allclose(features(network, flat, value_range=(-1.0, 1.0)), wanted, rtol=1e-4, atol=1e-5)
    own = features(lambda x: jnp.stack([x.sum(), x.max()]), bars.test[:3].astype(np.float32))
    np.testing.assert_allclose(own[:, 0], bars.test[:3].sum((1, 2)))


def test_quality_sees_what_is_wrong(bars, trained):
    """Held-out pictures pass; one class alone, and noise, do not."""
    good = feature_quality(trained, bars.train[:200], bars.test)
    single = feature_quality(trained, bars.train[bars.train_labels == 0][:200], bars.test)
    noise = feature_quality(trained, np.random.default_rng(1).integers(0, 16, (200, 6, 6)), bars.test)
    assert good.frechet.value < 0.1 * min(single.frechet.value, noise.frechet.value)
    assert good.fidelity.coverage.value > 0.8 > max(single.fidelity.coverage.value, noise.fidelity.coverage.value)
    assert (good.classes.num_covered, single.classes.num_covered) == (2, 1)
    assert good.to_json()["network"] == str(trained)


def test_labels_belong_to_their_images():
    """The digits' classes in the order of `load`: images of one class are nearer to each other than to the rest."""
    found = labelled("digits")
    assert found.test.shape == (359, 8, 8)
    means = np.stack([found.train[found.train_labels == c].mean(0) for c in range(10)])
    nearest = ((found.test[:, None] - means) ** 2).sum((2, 3)).argmin(1)
    assert np.mean(nearest == found.test_labels) > 0.85


@pytest.mark.needs_data
def test_labels_of_fetched_images(data_folder):
    del data_folder
    found = labels(FASHION_MNIST)
    assert np.bincount(found["train"]).tolist() == [6000] * 10
    assert np.bincount(found["test"]).tolist() == [1000] * 10


def test_refuses(trained):
    with pytest.raises(DataError, match="has no classes; those that have are digits, mnist, fashion-mnist"):
        labelled("two-moons")
    with pytest.raises(ShapeError, match=r"of images of shape \(6, 6\)"):
        features(trained.network, np.zeros((3, 7, 7)))
    with pytest.raises(ArgumentError, match="NaN or infinite"):
        features(trained.network, np.full((1, 6, 6), np.nan))
    with pytest.raises(ArgumentError, match="black < white"):
        features(trained.network, np.zeros((1, 6, 6)), value_range=(1.0, 0.0))


@pytest.mark.slow
def test_the_digits_are_classified():
    assert train_features(labelled("digits"), recipes.RECIPES["digits"]).accuracy > 0.96
