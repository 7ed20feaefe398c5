"""How the feature network of a data set is made: trained once by a fixed recipe, then read from the user's cache."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from energax._errors import MissingExtra
from energax._files import replace_arrays
from energax._typing import Scalar
from energax.data import Labelled, labelled
from energax.evaluation._feature_network import FeatureNetwork, class_logits


@dataclasses.dataclass(frozen=True)
class FeatureRecipe:
    """All that decides the weights, beside the data: the same recipe on one machine gives the same network.

    Attributes:
        channels: Filters of each layer.
        num_features: Length of the vector of features.
        num_epochs: Passes over the training images.
        batch_size: Images of an update.
        learning_rate: The largest of a cycle, up in a fifth of the updates, and down to zero.
        weight_decay: Of AdamW.
        max_shift: Training images are moved by up to so many pixels each way.
        seed: Of weights, order and shifts.
    """

    channels: tuple[int, ...] = (32, 64, 64)
    num_features: int = 64
    num_epochs: int = 6
    batch_size: int = 128
    learning_rate: float = 4e-3
    weight_decay: float = 1e-2
    max_shift: int = 1
    seed: int = 0

    @property
    def fingerprint(self) -> str:
        """A short name of the recipe."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


RECIPES: dict[str, FeatureRecipe] = {
    "digits": FeatureRecipe(channels=(32, 64), num_epochs=60, batch_size=64),
    "mnist": FeatureRecipe(),
    "fashion-mnist": FeatureRecipe(),
}
"""The recipe of each set that has classes."""


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedFeatures:
    """A feature network with what has to be told of it.

    Attributes:
        network: The network.
        accuracy: Share of test images whose class it finds.
        recipe: How it was trained.
    """

    network: FeatureNetwork
    accuracy: float
    recipe: FeatureRecipe

    def __str__(self) -> str:
        return (
            f"{self.recipe.num_features} features of {self.network.name}, which classifies {100 * self.accuracy:.2f} % "
            "of the test images"
        )


def feature_network(
    name: str, *, folder: str | os.PathLike[str] | None = None, progress: Callable[[str], None] | None = None
) -> TrainedFeatures:
    """The stated feature network of a named set of images: read from the cache, or trained by the set's recipe.

    Training takes seconds of CPU time for digits and about two minutes for the 28 × 28 sets. The weights are kept in
    the user's cache under a name that holds the recipe, so that another recipe is another file; a file that cannot be
    read is made anew. Runs on one machine agree bit by bit; another machine's rounding gives a slightly different
    network, so that numbers are compared within one.

    Args:
        name: A name of `data.LABELLED_SETS`.
        folder: Where weights are kept; by default ``features`` in the cache folder of energax.
        progress: Called with a sentence from time to time while training.

    Raises:
        DataError: The set has no classes, or cannot be had.
        MissingExtra: Pooch, which knows the cache folder, is not installed, and no folder is given.
    """
    recipe = RECIPES.get(name, FeatureRecipe())
    path = (_cache_folder() if folder is None else Path(folder)) / f"{name}-{recipe.fingerprint}.npz"
    found = _read(path, recipe)
    if found is None:
        found = train_features(labelled(name), recipe, progress=progress)
        _write(path, found)
    return found


def train_features(
    images: Labelled, recipe: FeatureRecipe, *, progress: Callable[[str], None] | None = None
) -> TrainedFeatures:
    """Train a feature network by a recipe: cross-entropy, AdamW, one cycle of the learning rate, shifted images.

    Args:
        images: Images and classes.
        recipe: All other decisions.
        progress: Called with a sentence after each epoch.
    """
    about = (images.name, images.train.shape[1:], images.num_levels, images.num_classes, recipe)
    per_epoch = len(images.train) // recipe.batch_size
    num_steps = recipe.num_epochs * per_epoch
    optimizer = optax.adamw(
        optax.cosine_onecycle_schedule(num_steps, recipe.learning_rate, pct_start=0.2, final_div_factor=1e4),
        weight_decay=recipe.weight_decay,
    )

    @eqx.filter_jit
    def begin() -> tuple[FeatureNetwork, optax.OptState]:
        network = _untrained(*about)
        return network, optimizer.init(eqx.filter(network, eqx.is_inexact_array))

    @eqx.filter_jit(donate="all-except-first")
    def update(batch: tuple[Array, Array], network: FeatureNetwork, state: optax.OptState):
        slope = eqx.filter_grad(_cross_entropy)(network, *batch)
        moves, state = optimizer.update(slope, state, eqx.filter(network, eqx.is_inexact_array))
        return eqx.apply_updates(network, moves), state

    network, state = begin()
    rng = np.random.default_rng(recipe.seed)
    for epoch in range(recipe.num_epochs):
        order = rng.permutation(len(images.train))[: per_epoch * recipe.batch_size]
        for rows in order.reshape(per_epoch, recipe.batch_size):
            moved = _shifted(images.train[rows], recipe.max_shift, rng)
            network, state = update((jnp.asarray(moved), jnp.asarray(images.train_labels[rows])), network, state)
        if progress is not None:
            progress(
                f"epoch {epoch + 1} of {recipe.num_epochs}: {100 * _accuracy(network, images):.2f} % of test images"
            )
    return TrainedFeatures(network, _accuracy(network, images), recipe)


def _cross_entropy(network: FeatureNetwork, x: Array, classes: Array) -> Scalar:
    return optax.softmax_cross_entropy_with_integer_labels(jax.vmap(network)(x), classes).mean()


def _accuracy(network: FeatureNetwork, images: Labelled) -> float:
    return float(np.mean(class_logits(network, images.test).argmax(1) == images.test_labels))


def _shifted(images: np.ndarray, reach: int, rng: np.random.Generator) -> np.ndarray:
    """Every image moved by a random shift of its own, black coming in."""
    num, height, width = images.shape
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach)))
    down, right = rng.integers(0, 2 * reach + 1, (2, num, 1))
    at_row, at_column = down + np.arange(height), right + np.arange(width)
    return padded[np.arange(num)[:, None, None], at_row[:, :, None], at_column[:, None, :]]


def _untrained(
    name: str, shape: Sequence[int], num_levels: int, num_classes: int, recipe: FeatureRecipe
) -> FeatureNetwork:
    height, width = shape
    return FeatureNetwork(
        (height, width),
        num_classes=num_classes,
        num_levels=num_levels,
        channels=recipe.channels,
        num_features=recipe.num_features,
        name=f"{name}-{recipe.fingerprint}",
        key=jax.random.key(recipe.seed, impl="threefry2x32"),
    )


def _write(path: Path, found: TrainedFeatures) -> None:
    """One file, whole or not there."""
    network = found.network
    about = {
        "name": network.name.removesuffix(f"-{found.recipe.fingerprint}"),
        "shape": network.shape,
        "num_levels": network.num_levels,
        "num_classes": network.readout.out_features,
        "accuracy": found.accuracy,
        "recipe": dataclasses.asdict(found.recipe),
    }
    leaves = {f"leaf{i}": leaf for i, leaf in enumerate(jax.tree.leaves(network))}
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_arrays(path, {"about": np.array(json.dumps(about)), **leaves})


def _read(path: Path, recipe: FeatureRecipe) -> TrainedFeatures | None:
    """The network of a file, None where there is none that can be used."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            about = json.loads(str(stored["about"]))
            leaves = [stored[f"leaf{i}"] for i in range(len(stored.files) - 1)]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
        return None
    made = (about["name"], about["shape"], about["num_levels"], about["num_classes"], recipe)
    blank = eqx.filter_eval_shape(_untrained, *made)
    wanted = jax.tree.leaves(blank)
    if [leaf.shape for leaf in leaves] != [leaf.shape for leaf in wanted] or not all(map(_finite, leaves)):
        return None
    network = jax.tree.unflatten(jax.tree.structure(blank), [jnp.asarray(leaf) for leaf in leaves])
    return TrainedFeatures(network, float(about["accuracy"]), recipe)


def _finite(leaf: np.ndarray) -> bool:
    return bool(np.isfinite(leaf).all())


def _cache_folder() -> Path:
    try:
        import pooch
    except ImportError as error:
        raise MissingExtra(
            'The cache folder is that of Pooch: pip install "energax[cli]", or give `folder`.'
        ) from error
    return Path(pooch.os_cache("energax")) / "features"
