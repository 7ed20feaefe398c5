"""The facts of a run that several sections speak about, and the words for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from energax.report._summary import SummaryLike, part
from energax.report.tables import is_finite, number

_ROWS = {"image": ("image", "images"), "planar": ("point", "points"), "table": ("row", "rows")}

# Each follows the name of the model and a comma.
_MODELS = {
    "rbm": "a restricted Boltzmann machine: visible units joined to hidden ones, which let it express how pixels or "
    "columns go together",
    "mlp": "a fully connected network that returns the energy",
    "noise-mlp": "a fully connected network that returns the energy at every level of added noise, used at the least",
    "conv": "a convolutional network that returns the energy of an image",
    "vae": "a variational autoencoder: a network that makes {rows} of a few random numbers, the latent, and one that "
    "finds the latents of a {row}",
    "ec-vae": "a variational autoencoder whose draws an energy has taught to look like data: the energy moved them a "
    "little way towards the data while the network was trained, which learned to make them there; when it draws, the "
    "energy has no part in it",
}

# Each is a sentence about training; {kernel} is replaced by the words for the kernel.
_CONTRAST = (
    "Training pushes the energy of real {rows} down and the energy of {rows} that the model draws itself up; the model "
    "draws them{kernel}"
)
_OBJECTIVES = {
    "persistent-cd": _CONTRAST + ", with chains that go on from one update to the next (persistent contrastive "
    "divergence).",
    "cd": _CONTRAST + ", with short chains that start at the data for every update (contrastive divergence, biased).",
    "short-run": _CONTRAST + ", with short chains that start at noise for every update. What is learned is the chain "
    "of this length (short-run maximum likelihood): the law of the energy itself is another one.",
    "tempered-pcd": _CONTRAST + ", in chains that go on from update to update and swap places with others at easier "
    "levels (replica exchange), by which they travel between modes.",
    "trajectory-pcd": _CONTRAST + ", in chains that go on from update to update and swap places with others at models "
    "of the run's own past (trajectory tempering), by which they travel between modes.",
    "flow-assisted": _CONTRAST + ", in chains that go on from update to update and now and then jump to where a flow "
    "proposes, which learns to follow them.",
    "jarzynski": _CONTRAST + ", with walkers that carry weights for the work that each update did on them "
    "(Jarzynski's identity), so that they stand for the model even where they cannot travel.",
    "exact-likelihood": "Training follows the exact gradient of the likelihood, summed over all configurations.",
    "denoising-score-matching": "Training adds noise to real {rows} and fits the slope of the energy, which has to "
    "point back (denoising score matching). It needs no chains, and it learns the law of slightly noisy data.",
    "pseudo-likelihood": "Training predicts each entry of real {rows} from all its other entries "
    "(pseudo-likelihood). It needs no chains.",
    "ratio-matching": "Training predicts each entry of real {rows} from all its other entries, with squared errors "
    "(ratio matching). It needs no chains.",
    "interaction-screening": "Training looks for the couplings that, once undone, leave each entry of real {rows} "
    "independent of all its other entries (interaction screening). It needs no chains.",
    "minimum-probability-flow": "Training makes real {rows} likelier than those that differ from them in one entry "
    "(minimum probability flow). It needs no chains.",
    "concrete-score-matching": "Training fits how much likelier real {rows} are than those that differ from them in "
    "one entry (concrete score matching). It needs no chains.",
    "score-matching": "Training fits the slope of the energy to that of the data's own density (score matching). It "
    "needs neither chains nor noise.",
    "sliced-score-matching": "Training fits the slope of the energy to that of the data's own density, along random "
    "directions (sliced score matching). It needs neither chains nor noise.",
    "kernel-stein": "Training fits the slope of the energy to real {rows} by the kernel Stein discrepancy. It needs no "
    "chains.",
    "conditional-nce": "Training lowers the energy of real {rows} below that of copies of them with noise (conditional "
    "noise-contrastive estimation). It needs no chains.",
    "nce": "Training tells real {rows} from draws of a simple law that was fitted to them (noise-contrastive "
    "estimation). It needs no chains.",
    "ranking-nce": "Training finds real {rows} among draws of a simple law that was fitted to them (ranking "
    "noise-contrastive estimation). It needs no chains.",
    "flow-contrastive": "Training tells real {rows} from draws of a flow, which learns to look like them at the same "
    "time (flow-contrastive estimation). It needs no chains.",
    "adversarial": "Training pushes the energy of real {rows} down and that of draws of a flow up, while the flow "
    "learns to follow the model (adversarial likelihood). It needs no chains.",
    "multi-scale-denoising": "Training adds noise of many sizes to real {rows} and fits the slopes of one energy for "
    "each size (denoising score matching). It needs no chains.",
    "recovery-likelihood": "Training adds noise of many sizes to real {rows}, draws what they may have been one step "
    "of noise before{kernel}, and lowers the energy of what they were (diffusion recovery likelihood).",
    "finite-difference-score-matching": "Training fits the slope of the energy to that of the data's own density, from "
    "values of the energy near real {rows} (finite-difference score matching). It needs no chains.",
    "elbo": "Training raises a lower bound of the likelihood: how well real {rows} are recovered from their latents, "
    "and how near these are to the law that latents are drawn from.",
    "energy-calibration": "Training raises a lower bound of the likelihood; then it also pulls the model's own draws "
    "after copies that a few Langevin steps of an energy have moved, while the energy learns to tell real {rows} from "
    "these copies. The weight of the pull adapts until copies are no further away than noise.",
    "energy-matching": "Training fits a landscape whose slopes carry noise to real {rows} in straight lines, and then "
    "lowers it at them against where chains of its own end (energy matching).",
    "energy-discrepancy": "Training perturbs real {rows} and perturbs the result many times more, and makes the real "
    "one likelier than all of these (energy discrepancy). It needs no chains.",
}
_BINARIZED = {"threshold": "threshold", "stochastic": "chance"}
_KERNELS = {
    "block-gibbs": "block Gibbs sampling",
    "heat-bath": "heat-bath sampling",
    "mala": "Metropolis-adjusted Langevin steps",
    "ula": "unadjusted Langevin steps",
    "hmc": "Hamiltonian Monte Carlo",
    "random-walk": "random-walk Metropolis steps",
}


def data_name(summary: SummaryLike) -> str:
    """Name of the data set, as far as the summary knows it."""
    places = (summary.data.get("name"), (summary.evaluation or {}).get("data"))
    config = part(summary.config, "data")
    return str(next((p for p in (*places, config.get("name"), config.get("source")) if p), "data"))


def model_name(summary: SummaryLike) -> str:
    """Name of the model; empty where it is not known."""
    places = (
        summary.model.get("name"),
        part(summary.config, "model").get("name"),
        (summary.evaluation or {}).get("model"),
    )
    return str(next((p for p in places if p), ""))


def method_name(summary: SummaryLike, kind: str) -> str:
    """Name of the ``"objective"`` or the ``"kernel"``; empty where it is not known."""
    return str(part(summary.config, kind).get("name") or "")


def is_generator(summary: SummaryLike) -> bool:
    """Whether the model draws without chains and knows its likelihood, or a bound of it, without log Z."""
    return bool(summary.model.get("is_generator"))


def objective_family(summary: SummaryLike) -> str:
    """How the energy is fitted: ``"denoising"`` or ``"score"`` by its slope, ``"contrast"`` against draws."""
    name = method_name(summary, "objective")
    return next((family for family in ("denoising", "score") if family in name), "contrast")


def kind(summary: SummaryLike) -> str:
    """``"image"``, ``"planar"`` or ``"table"``."""
    named = summary.data.get("kind")
    if named in _ROWS:
        return str(named)
    return "image" if summary.image_shape is not None else "table"


def row_names(summary: SummaryLike) -> tuple[str, str]:
    """What one row of the data is called, and several."""
    return _ROWS[kind(summary)]


def num_steps(summary: SummaryLike) -> int | None:
    """Updates that were made, from the history; the planned number is in the config."""
    steps = [row.get("step") for row in summary.history]
    known = [int(s) for s in steps if is_finite(s)]
    return max(known) if known else None


def planned_steps(summary: SummaryLike) -> int | None:
    """Updates that the configuration asked for."""
    value = part(summary.config, "training").get("num_steps")
    return int(value) if is_finite(value) else None


def num_parameters(summary: SummaryLike) -> Any:
    """Number of trainable numbers, or None."""
    found = summary.model.get("num_parameters")
    return found if found is not None else (summary.evaluation or {}).get("num_parameters")


def what_was_fitted(summary: SummaryLike) -> str:
    """A paragraph for a newcomer: the data, what an energy is, the model."""
    one, many = row_names(summary)
    size = _size(summary, many)
    if is_generator(summary):
        text = (
            f"This run fitted a generative model to {data_name(summary)}{size}. Such a model makes new {many}, each by "
            "one pass through a network."
        )
        return _with_model(summary, text)
    text = (
        f"This run fitted an energy-based model to {data_name(summary)}{size}. Such a model gives every possible {one} "
        f"a number, its energy: the lower the energy, the likelier the {one}."
    )
    return _with_model(summary, text)


def _with_model(summary: SummaryLike, text: str) -> str:
    """The text with a sentence on the model, where it is known."""
    name = model_name(summary)
    if not name:
        return text
    one, many = row_names(summary)
    count = num_parameters(summary)
    with_count = f" with {number(count)} parameters" if is_finite(count) else ""
    described = _MODELS.get(name, "").format(row=one, rows=many)
    return f"{text} The model here is {name}{with_count}{f', {described}' if described else ''}."


def how_it_was_trained(summary: SummaryLike) -> str:
    """A paragraph on the objective, the kernel and the length of the training."""
    one, many = row_names(summary)
    name = method_name(summary, "objective")
    kernel = method_name(summary, "kernel")
    by = f" by {_KERNELS.get(kernel, kernel)}" if kernel else ""
    known = _OBJECTIVES.get(name)
    text = known.format(row=one, rows=many, kernel=by) if known else (f"It was trained by {name}{by}." if name else "")
    made, planned = num_steps(summary), planned_steps(summary)
    batch = part(summary.config, "training").get("batch_size")
    of = f" of {number(batch)} {many}" if is_finite(batch) else ""
    if made is None:
        length = "No step of its training has been logged."
    elif planned is not None and made < planned:
        length = f"Training has come to step {number(made)} of {number(planned)}, each with a batch{of}."
    else:
        length = f"Training took {number(made)} {'step' if made == 1 else 'steps'}, each with a batch{of}."
    return f"{text} {length}".strip()


def truth_likelihood(summary: SummaryLike) -> float | None:
    """Mean log-likelihood that the known truth itself reaches, minus its entropy; None where the truth is not known."""
    entropy = summary.data.get("entropy")
    return -float(entropy) if is_finite(entropy) else None


def binarized(summary: SummaryLike) -> str:
    """How the values were made binary; empty where they were not."""
    value = summary.data.get("binarize") or part(summary.config, "data").get("binarize")
    return f"binarised by {_BINARIZED.get(str(value), value)}" if value else ""


def _size(summary: SummaryLike, many: str) -> str:
    train = _count(summary.data, "train")
    pieces = []
    if train is not None:
        pieces.append(f"{number(train)} training {many}")
    if summary.image_shape is not None and kind(summary) == "image":
        pieces.append("of " + " × ".join(str(n) for n in summary.image_shape) + " pixels")
    text = " ".join(pieces)
    if binarized(summary):
        text = f"{text}, {binarized(summary)}" if text else binarized(summary)
    return f" ({text})" if text else ""


def _count(data: Mapping[str, Any], name: str) -> int | None:
    for key in (f"num_{name}", name):
        if is_finite(data.get(key)):
            return int(data[key])
    return None
