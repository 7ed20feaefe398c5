"""The registry of a comparison of models: each name, how it is built from the data, and what it can answer."""

from __future__ import annotations

import dataclasses
import importlib.util
from typing import Any

import jax

from energax import densities, generative, objectives, runs, systems
from energax._errors import ArgumentError, DataError, MissingExtra, nearest
from energax._typing import PRNGKey
from energax.data import Data
from energax.spaces import AbstractDiscreteSpace, Binary, Euclidean
from energax.studies._family import Family, Recipe
from energax.studies._restore import by_climbing, by_diffusion, by_hidden_units, by_interpolant, by_reconstruction

_FEW = 2
"""Columns of a law of the plane, which a larger network resolves at little cost."""
_EXACT_TRACE = 16
"""Columns up to which the divergence of a velocity is taken along every one of them."""
_LARGE = 256
"""Columns of larger pictures than 16 x 16."""
_RESERVOIR = 2_000
"""Chains of an energy of larger pictures, as many as draws are judged."""
_NCE_COLUMNS = 8
"""Columns up to which a normal law is near enough to tell data from it."""


def _vae(data: Data, key: PRNGKey) -> Recipe:
    latent, channels = runs.latent_dim(data), _filters(data)
    hidden = (128, 128) if _is_plane(data) else (512, 512) if _is_large(data) else (256, 256)
    samples = 16 if _is_plane(data) else 64
    model = generative.VAE(
        data.space if isinstance(data.space, Binary) else _reals(data),
        latent_dim=latent,
        hidden=hidden,
        channels=channels,
        scale=0.5,
        num_samples=samples,
        key=key,
    )
    if _is_plane(data):
        # In the plane the importance-weighted bound is cheap, and far less smooth laws come near it.
        return Recipe(model, generative.MaximumLikelihood(), 2e-3, batch_size=128)
    return Recipe(model, generative.ELBO(), batch_size=_batch(data))


def _ec_vae(data: Data, key: PRNGKey) -> Recipe:
    of_vae, of_energy = jax.random.split(key)
    recipe, channels = _vae(data, of_vae), _filters(data)
    if channels is None:
        energy: Any = runs.calibrating_energy(data, (256, 256), key=of_energy)
    else:
        energy = generative.critic(data.space.shape, channels=channels[::-1], key=of_energy)
    how = runs.GENERATIVE_OBJECTIVES["energy-calibration"]
    return dataclasses.replace(
        recipe,
        model=systems.Calibrated(recipe.model, energy, noise=not _is_image(data)),
        calibration=how.build(how.config(), data),
    )


def _gan(data: Data, key: PRNGKey) -> Recipe:
    of_generator, of_critic = jax.random.split(key)
    shape, channels = data.space.shape, _channels(data)
    latent = runs.latent_dim(data)
    model = generative.PushForward(
        _reals(data), latent_dim=latent, hidden=(128, 128, 128), channels=channels, key=of_generator
    )
    judge = generative.critic(shape, hidden=(128, 128, 128), channels=channels and channels[::-1], key=of_critic)
    game = generative.Adversarial(judge, "wasserstein", gradient_penalty=1.0)
    size = 256 if _is_plane(data) else _batch(data)
    return Recipe(model, game, 5e-4, momentum=0.0, batch_size=size, companions={"critic": 2e-3})


def _flow(data: Data, key: PRNGKey) -> Recipe:
    dim = data.space.num_sites
    if dim == 1:
        model = densities.autoregressive_flow(1, num_layers=4, knots=8, key=key)
    elif _is_large(data):
        # Splines of hundreds of columns take their time for parameters that affine layers do without.
        model = densities.coupling_flow(dim, num_layers=8, width=512, depth=2, knots=0, key=key)
    else:
        width, knots = (64, 16) if dim <= _FEW else (128, 8)
        num_layers = 8 if dim <= 64 else 6
        model = densities.coupling_flow(dim, num_layers=num_layers, width=width, depth=2, knots=knots, key=key)
    return Recipe(model, generative.MaximumLikelihood(), 1e-3, batch_size=256 if dim <= 64 else 128)


def _continuous_flow(data: Data, key: PRNGKey) -> Recipe:
    dim = data.space.num_sites
    hidden = (64, 64, 64) if dim <= _FEW else (512, 512) if _is_large(data) else (256, 256)
    model = generative.ContinuousFlow(
        _reals(data), hidden=hidden, solver=generative.RungeKutta(4 if _is_large(data) else 6), trace=_trace(dim),
        key=key,
    )  # fmt: skip
    return Recipe(model, generative.MaximumLikelihood(), 2e-3, batch_size=128 if dim <= 64 else 64)


def _diffusion(data: Data, key: PRNGKey) -> Recipe:
    solver = generative.RungeKutta(16 if _is_image(data) else 24)
    model = generative.Diffusion(
        _reals(data), hidden=_hidden(data), channels=_resolutions(data), features=_waves(data), key=key,
        trace=_trace(data.space.num_sites),
        sampler=generative.DDIM(50) if _is_image(data) else solver, solver=solver,
    )  # fmt: skip
    return Recipe(model, generative.NoisePrediction(), 2e-3, batch_size=_batch(data), ema_decay=0.995)


def _flow_matching(data: Data, key: PRNGKey) -> Recipe:
    model = generative.ContinuousFlow(
        _reals(data), hidden=_hidden(data), channels=_resolutions(data), features=_waves(data), key=key,
        solver=generative.RungeKutta(12 if _is_image(data) else 16),
        trace=_trace(data.space.num_sites),
    )  # fmt: skip
    return Recipe(model, generative.FlowMatching(), 2e-3, batch_size=_batch(data), ema_decay=0.995)


def _ebm(data: Data, key: PRNGKey) -> Recipe:
    dim, kernel = data.space.num_sites, runs.build_kernel({"name": "hmc"})
    if dim <= _NCE_COLUMNS:
        config = {"name": "mlp", "features": 64} if dim <= _FEW else {"name": "mlp"}
        model = runs.build_energy(config, data, key=key)
        objective = runs.build_objective({"name": "nce"}, kernel, data)
        return Recipe(model, objective, 3e-3, batch_size=512, companions={"log_z": 1e-2}, kernel=kernel)
    if data.num_levels is not None or _is_large(data):
        # A ladder refuses 97 % of swaps in 784 columns, and annealed draws of MNIST are of few classes. Many chains,
        # few of which move at an update, keep all of them. Deeper networks, along the slope, made blots.
        kernel = runs.build_kernel({"name": "block-gibbs"})
        model = runs.build_energy({"name": "gaussian-rbm", "hidden": 256}, data, key=key)
        objective = objectives.PersistentCD(kernel, num_chains=128, num_steps=2, reservoir=_RESERVOIR)
        return Recipe(model, objective, 3e-3, batch_size=128, kernel=kernel, persistent=_is_large(data))
    # Chains without a ladder stay in the modes where they began.
    objective = runs.build_objective({"name": "tempered-pcd"}, kernel, data)
    model = runs.build_energy({"name": "mlp", "hidden": 256}, data, key=key)
    return Recipe(model, objective, batch_size=128, kernel=kernel)


def _rbm(data: Data, key: PRNGKey) -> Recipe:
    """As `energax fit` trains it."""
    defaults = runs.DEFAULTS["rbm"]
    kernel = runs.build_kernel(defaults.kernel)
    training = runs.default_training("rbm", defaults.objective["name"])
    return Recipe(
        runs.build_energy({"name": "rbm"}, data, key=key),
        runs.build_objective(defaults.objective, kernel, data),
        batch_size=training.batch_size,
        kernel=kernel,
        optimizer=runs.centred_sgd(training.learning_rate, training.weight_decay, data),
    )


def _reals(data: Data) -> Euclidean:
    assert isinstance(data.space, Euclidean), "`require_fit` has refused other data"
    return data.space


def _is_plane(data: Data) -> bool:
    return data.space.num_sites <= _FEW


def _is_image(data: Data) -> bool:
    """Whether rows come with the axes of an image."""
    return len(data.space.shape) > 1


def _is_large(data: Data) -> bool:
    return data.space.num_sites > _LARGE


def _batch(data: Data) -> int:
    if _is_image(data):
        return 64 if _is_large(data) else 128
    return 512 if _is_plane(data) else 256


def _hidden(data: Data) -> tuple[int, ...]:
    return (128, 128, 128) if _is_plane(data) else (256, 256, 256)


def _waves(data: Data) -> int:
    """Random waves of the plane that networks of a time see: without them 25 narrow modes stayed blurred."""
    return 64 if _is_plane(data) else 0


def _filters(data: Data) -> tuple[int, ...] | None:
    """Those of an autoencoder: none where pictures are large, of which dense layers see 13 times as many a second.

    In 4 minutes of MNIST they brought the calibrated one to a Fréchet distance of 138, filters in 15 to 316.
    """
    return None if _is_large(data) else _channels(data)


def _channels(data: Data) -> tuple[int, ...] | None:
    """Filters of a decoder, None for fully connected networks."""
    return (64, 32) if _is_image(data) else None


def _resolutions(data: Data) -> tuple[int, ...] | None:
    """Filters of a U-Net, None for fully connected networks."""
    if not _is_image(data):
        return None
    sides = data.space.shape[:2]
    depth = next(depth for depth in (3, 2, 1) if all(side % 2 ** (depth - 1) == 0 for side in sides))
    wide = not _is_large(data)
    return ((32, 64) if wide else (16, 32, 32))[:depth]


def _trace(dim: int) -> Any:
    return "exact" if dim <= _EXACT_TRACE else "hutchinson"


_CONTINUOUS = frozenset({"continuous"})

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            "vae", "variational autoencoder, by its evidence lower bound", frozenset({"continuous", "binary"}), _vae,
            "Draws in one pass of a small network, a latent vector for every row, and a lower bound of the likelihood "
            "that rises with the number of samples.",
            "The likelihood itself, and the posterior of the latent beyond its normal approximation. Where the decoder "
            "adds independent noise, draws carry it, and separated modes stay joined by thin bridges.",
            on_pixels=True, shows_means=True, restore=by_reconstruction,
        ),
        Family(
            "ec-vae", "the same autoencoder, whose draws an energy calibrates at the end of its training",
            _CONTINUOUS, _ec_vae,
            "What the autoencoder gives, with draws that were pulled towards the data: the energy that did it is gone "
            "when they are made, so that they cost no more.",
            "The likelihood bound is that of the autoencoder, whose draws of images would have its decoder's noise. "
            "The energy ranks draws against rows, but is no model of the data.",
            on_pixels=True, restore=by_reconstruction,
        ),
        Family(
            "gan", "generative adversarial network, Wasserstein game with a gradient penalty", _CONTINUOUS, _gan,
            "Draws in one pass, and ways between them through the latent.",
            "It has no density: no likelihood, no surprise of a row, no latent of a given row. Nothing it minimises "
            "falls as it improves, and modes that it drops are not reported by it.", on_pixels=True,
        ),
        Family(
            "flow", "coupling flow, of splines up to 256 columns and affine above, by maximum likelihood", _CONTINUOUS,
            _flow,
            "The exact density of any row, exact draws in one pass, and a latent for every row that leads back to it.",
            "It keeps the topology of its base: separated modes stay joined by filaments of low density, and the data "
            "must fill their space: grey images come to it as logits.", as_logits=True, needs=("flowjax", "flows"),
            restore=by_climbing,
        ),
        Family(
            "continuous-flow", "continuous normalizing flow, by maximum likelihood through the solver", _CONTINUOUS,
            _continuous_flow,
            "The density of any row up to the error of a solver, and a smooth, invertible way from noise to data.",
            "Every draw and every density costs the solution of an equation, and so does every update; beyond a few "
            "columns the divergence, and with it the likelihood, is a random estimate. Grey images come to it as "
            "logits.", as_logits=True,
        ),
        Family(
            "diffusion", "score-based diffusion, variance preserving, by noise prediction", _CONTINUOUS, _diffusion,
            "The score of the data at every noise level: draws, the mean of clean rows given noisy ones, and the "
            "density of the probability flow.",
            "Draws take tens to hundreds of networks. The density is that of the least noise level, and where draws "
            "are made by another sampler than the flow it belongs to another law than theirs.", on_pixels=True,
            restore=by_diffusion,
        ),
        Family(
            "flow-matching", "flow matching along straight lines, without solving while it trains", _CONTINUOUS,
            _flow_matching,
            "Draws by a few dozen networks, the density of the same flow, the mean of clean rows given noisy ones, and "
            "a latent for every row.",
            "The density costs the solution of an equation with its divergence; nothing bounds it while it trains.",
            on_pixels=True, restore=by_interpolant,
        ),
        Family(
            "ebm", "network as an energy, of one hidden layer for images; noise-contrastive in few dimensions, chains "
            "with replica exchange in more, and a reservoir of chains for images", _CONTINUOUS, _ebm,
            "Energy differences between any rows at the cost of one network, sums and products with other energies, "
            "conditions by clamping, and restoration of damaged rows by following the slope.",
            "Draws need chains, and log Z, hence the likelihood, an integral over the space: exact in the plane, an "
            "interval elsewhere. Rows of more than 256 columns are drawn by the chains of training, run on: they keep "
            "the share that each kind of row had among the data, whatever share the energy gives it. Grey images come "
            "to it as logits.", as_logits=True,
            restore=by_climbing,
        ),
        Family(
            "rbm", "restricted Boltzmann machine, by persistent contrastive divergence", frozenset({"binary"}), _rbm,
            "Energies of whole rows, hidden features, completion of partly known rows by block Gibbs sampling.",
            "Draws need chains, and the likelihood is an interval unless one layer has few units.",
            restore=by_hidden_units,
        ),
    )
}  # fmt: skip
"""THE registry of `energax compare`."""


def family(name: str) -> Family:
    """The family of a name.

    Raises:
        ArgumentError: The name is unknown.
    """
    if name not in FAMILIES:
        raise ArgumentError(f"There is no model {name!r} to compare. {nearest(name, FAMILIES)}")
    return FAMILIES[name]


def require_fit(one: Family, data: Data) -> None:
    """Refuse a family that cannot take the data, before anything is trained.

    Raises:
        DataError: It describes another kind of data.
        MissingExtra: A package that it needs is not installed.
    """
    kind = "binary" if isinstance(data.space, AbstractDiscreteSpace) else "continuous"
    if kind not in one.spaces:
        wanted = " or ".join(sorted(one.spaces)).replace("binary", "0/1")
        hint = " Use --binarize threshold for a 0/1 view of images." if kind == "continuous" and data.num_levels else ""
        holds = "0/1 values" if kind == "binary" else "real numbers"
        raise DataError(f"{one.name} is a model of {wanted} data, but {data.name} holds {holds}.{hint}")
    if one.needs is not None and importlib.util.find_spec(one.needs[0]) is None:
        raise MissingExtra(f'{one.name} needs {one.needs[0]}: pip install "energax[{one.needs[1]}]".')
