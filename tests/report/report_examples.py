"""Summaries of four kinds of run, with the fields that `energax.runs.Summary` has."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

ENVIRONMENT = {
    "energax": "0.1.0",
    "jax": "0.10.2",
    "jaxlib": "0.10.2",
    "numpy": "2.3.0",
    "python": "3.11.9",
    "platform": "Linux x86_64",
    "cpu_count": 2,
    "backend": "cpu",
    "generator": "fast",
}


@dataclasses.dataclass(frozen=True)
class Example:
    config: dict[str, Any] = dataclasses.field(default_factory=dict)
    data: dict[str, Any] = dataclasses.field(default_factory=dict)
    model: dict[str, Any] = dataclasses.field(default_factory=dict)
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    events: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    evaluation: dict[str, Any] | None = None
    arrays: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    environment: dict[str, Any] = dataclasses.field(default_factory=dict)
    reproduce: list[str] = dataclasses.field(default_factory=list)
    image_shape: tuple[int, ...] | None = None


def config(model: str, objective: str, kernel: str, num_steps: int, source: str) -> dict[str, Any]:
    return {
        "format": 1,
        "data": {"source": source, "binarize": "threshold" if model == "rbm" else None},
        "model": {"name": model, "hidden": 128},
        "objective": {"name": objective, "num_chains": 512, "chain_steps": 1},
        "kernel": {"name": kernel},
        "training": {"num_steps": num_steps, "batch_size": 128, "learning_rate": 0.005, "ema_decay": 0.999},
        "seed": 0,
    }


def history(num_steps: int, every: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(5)
    rows = []
    for step in range(0, num_steps + 1, every):
        t = step / num_steps
        gap = 14 * np.exp(-12 * t) + rng.normal(0, 0.25)
        data = -20 - 12 * (1 - np.exp(-4 * t)) + rng.normal(0, 0.3)
        rows.append(
            {
                "step": step,
                "loss": -gap,
                "energy_gap": gap,
                "energy_data": data,
                "energy_model": data + gap,
                "accept_prob": 1.0,
                "ess": 60 + 300 * np.exp(-3 * t) + rng.normal(0, 12),
                "saturation": max(0.0, 0.05 * np.exp(-8 * t) + rng.normal(0, 0.002)),
                "gradient_norm": 0.6 + 9 * np.exp(-15 * t) + rng.gamma(2, 0.05),
                "learning_rate_scale": 1.0,
                "moved": 0.4 - 0.2 * t + rng.normal(0, 0.01),
                "steps_per_second": 900.0,
            }
        )
    return rows


def interval(lower: float | None, upper: float | None, lower_kind: str, upper_kind: str) -> dict[str, Any]:
    return {"lower": lower, "upper": upper, "lower_kind": lower_kind, "upper_kind": upper_kind, "level": 0.95}


def digits(model_sample: np.ndarray | None = None) -> Example:
    images = (load_digits().data > 7).astype(np.float32)  # pyright: ignore[reportAttributeAccessIssue]
    rng = np.random.default_rng(1)
    if model_sample is None:
        model_sample = np.where(rng.random((100, 64)) < 0.04, 1 - images[:100], images[:100])
    chain = np.cumsum(rng.normal(0, 1, (8, 500)), axis=1) * 0.05 + rng.normal(-31, 2.4, (8, 500))
    evaluation = {
        "data": "digits",
        "model": "rbm",
        "num_parameters": 8384,
        "num_test": 360,
        "test_log_likelihood": {
            **interval(-19.4173, -19.1829, "assumes-equilibrium", "certified"),
            "stderr_test": 0.2871,
            "unit": "nats",
        },
        "log_z": {
            **interval(50.9124, 51.1468, "certified", "assumes-equilibrium"),
            "value": 51.0213,
            "stderr": 0.0184,
            "exact": None,
            "measure": "counting",
            "curve": {
                "kind": "annealing",
                "t": [0.0, 0.5, 1.0],
                "value": [0.0, 20.5, 51.02],
                "stderr": [0.0, None, 0.02],
            },
        },
        "baselines": [
            {"name": "independent Bernoulli", "test_log_likelihood": -27.831, "stderr_test": 0.31},
            {"name": "uniform", "test_log_likelihood": -44.3614, "stderr_test": 0.0},
        ],
        "sample_quality": {
            "mmd_squared": {
                "value": 0.0011,
                "stderr": 0.0005,
                "p_value": 0.22,
                "kernel": "exponential-hamming",
                "bandwidth": 17.0,
            },
            "mmd_squared_of_training_rows": {"value": -0.0004, "stderr": 0.0006},
            "nearest_neighbours": {
                "share_closer": 0.47,
                "num_copies": 1,
                "num_test_copies": 15,
                "median_sample": 1.9,
                "median_test": 1.7,
            },
            "diagnostics": {
                "r_hat": 1.004,
                "ess": 1820.4,
                "tau": 2.2,
                "accept_prob": 1.0,
                "num_chains": 8,
                "num_draws": 500,
                "num_nonfinite": 0,
            },
        },
        "warnings": [],
    }
    return Example(
        config=config("rbm", "persistent-cd", "block-gibbs", 5000, "digits"),
        data={
            "name": "digits",
            "kind": "image",
            "num_train": 1437,
            "num_test": 360,
            "binarize": "threshold",
            "notes": ["3 of 64 columns are constant."],
        },
        model={"name": "rbm", "num_parameters": 8384, "space": "Binary(64)", "measure": "counting"},
        history=history(5000, 20),
        evaluation=evaluation,
        arrays={
            "data_sample": images[-100:],
            "model_sample": model_sample,
            "nearest_train": images[:30],
            "energy_data": rng.normal(-32, 3.0, 360),
            "energy_model": rng.normal(-31.6, 3.4, 500),
            "energy_noise": rng.normal(-2, 3.0, 500),
            "chain_energy": chain,
        },
        environment=ENVIRONMENT,
        reproduce=["pip install 'energax[cli]==0.1.0'", "energax fit digits --model rbm --hidden 128 --seed 0"],
        image_shape=(8, 8),
    )


def _mixture_log_density(x: np.ndarray, y: np.ndarray, masses: tuple[float, ...]) -> np.ndarray:
    angles = 2 * np.pi * np.arange(len(masses)) / len(masses)
    parts = [
        np.log(m) - 2 * np.log(0.3536) - ((x - 2.83 * np.cos(a)) ** 2 + (y - 2.83 * np.sin(a)) ** 2) / (2 * 0.125)
        for m, a in zip(masses, angles, strict=True)
    ]
    return np.asarray(np.logaddexp.reduce(parts, axis=0) - np.log(2 * np.pi))


def _mixture_draws(rng: np.random.Generator, masses: tuple[float, ...], num: int) -> np.ndarray:
    which = rng.choice(len(masses), num, p=np.asarray(masses) / sum(masses))
    angles = 2 * np.pi * which / len(masses)
    return 2.83 * np.stack([np.cos(angles), np.sin(angles)], -1) + rng.normal(0, 0.3536, (num, 2))


def planar() -> Example:
    rng = np.random.default_rng(2)
    truth, model = (0.125,) * 8, (0.21, 0.08, 0.15, 0.06, 0.12, 0.19, 0.09, 0.10)
    axis = np.linspace(-5.5, 5.5, 180)
    gx, gy = np.meshgrid(axis, axis)
    modes = [
        {"mode": k + 1, "truth": t, "model": m, "chains": float(c)}
        for k, (t, m, c) in enumerate(zip(truth, model, rng.dirichlet([60] * 8), strict=True))
    ]
    result = {**interval(-2.9121, -2.9034, "certified", "certified"), "stderr_test": 0.012, "unit": "nats"}
    evaluation = {
        "data": "8gaussians",
        "model": "mlp",
        "num_parameters": 17_153,
        "num_test": 10_000,
        "test_log_likelihood": result,
        "log_z": {
            **interval(1.2034, 1.2121, "certified", "certified"),
            "value": 1.2071,
            "stderr": 0.0011,
            "exact": 1.20733,
            "measure": "Lebesgue",
        },
        "baselines": [{"name": "full Gaussian", "test_log_likelihood": -4.2217, "stderr_test": 0.004}],
        "sample_quality": {
            "mmd_squared": {
                "value": 0.0102,
                "stderr": 0.0008,
                "p_value": 0.002,
                "kernel": "gaussian",
                "bandwidth": 3.1,
            },
            "diagnostics": {"r_hat": 1.62, "ess": 38.2, "accept_prob": 0.71, "num_chains": 8, "num_draws": 400},
        },
        "kl": {"value": 0.1634, "grid_error": 2e-7, "model_mass_outside": 1e-6},
        "mode_masses": modes,
        "warnings": ["The chains have not mixed between the modes (R-hat 1.62); their shares are not masses."],
    }
    chain = np.repeat(rng.normal(1.4, 0.6, (8, 1)), 400, 1) + rng.gamma(1.0, 0.5, (8, 400))
    return Example(
        config=config("mlp", "denoising-score-matching", "hmc", 4000, "8gaussians"),
        data={"name": "8gaussians", "kind": "planar", "num_train": 50_000, "num_test": 10_000, "entropy": 2.8381},
        model={"name": "mlp", "num_parameters": 17_153, "space": "Euclidean(2)", "measure": "Lebesgue"},
        history=[
            {"step": s, "loss": 1.2 * np.exp(-s / 700) + 0.41, "gradient_norm": 0.2 + np.exp(-s / 500)}
            for s in range(0, 4001, 50)
        ],
        evaluation=evaluation,
        arrays={
            "data_sample": _mixture_draws(rng, truth, 600),
            "model_sample": _mixture_draws(rng, model, 600),
            "energy_data": rng.gamma(1.0, 1.0, 500) + 1.2,
            "energy_model": rng.gamma(1.0, 1.05, 500) + 1.2,
            "energy_noise": rng.gamma(4.0, 14.0, 500) + 3.0,
            "chain_energy": chain,
            "grid_x": axis,
            "grid_y": axis,
            "grid_truth": _mixture_log_density(gx, gy, truth),
            "grid_model": _mixture_log_density(gx, gy, model),
        },
        environment=ENVIRONMENT,
        reproduce=["energax fit 8gaussians --model mlp --objective denoising-score-matching --seed 0"],
    )


def table() -> Example:
    rng = np.random.default_rng(3)
    mix = rng.normal(0, 1, (6, 6))
    data = rng.normal(0, 1, (800, 6)) @ mix + np.asarray([0, 10, -3, 200, 0.01, 5])
    data[:, 4] = rng.gamma(2.0, 0.004, 800)
    model = rng.normal(0, 1, (800, 6)) @ (mix + rng.normal(0, 0.25, (6, 6))) + data.mean(axis=0)
    model[:, 4] = rng.normal(0.008, 0.005, 800)
    result = {**interval(-11.21, -10.02, "assumes-equilibrium", "certified"), "stderr_test": 0.09, "unit": "nats"}
    evaluation = {
        "data": "wells.csv",
        "model": "mlp",
        "num_parameters": 20_001,
        "num_test": 200,
        "test_log_likelihood": result,
        "log_z": {
            **interval(3.1, 4.29, "certified", "assumes-equilibrium"),
            "value": 3.6,
            "stderr": 0.2,
            "exact": None,
            "measure": "Lebesgue",
        },
        "baselines": [{"name": "full Gaussian", "test_log_likelihood": -10.613, "stderr_test": 0.08}],
        "sample_quality": {
            "diagnostics": {"r_hat": 1.03, "ess": 212.0, "accept_prob": 0.83, "num_chains": 8, "num_draws": 300}
        },
        "warnings": ["The interval is 1.19 nats wide; more annealing steps would narrow it."],
    }
    return Example(
        config=config("mlp", "persistent-cd", "hmc", 4000, "/home/ada/wells.csv"),
        data={
            "name": "wells.csv",
            "kind": "table",
            "num_train": 600,
            "num_test": 200,
            "columns": [
                "depth (m)",
                "temperature",
                "pH",
                "pressure",
                "iron_ppm",
                "a rather long column name of a sensor",
            ],
            "notes": [],
        },
        model={"name": "mlp", "num_parameters": 20_001},
        history=history(4000, 200),
        evaluation=evaluation,
        arrays={
            "data_sample": data,
            "model_sample": model,
            "energy_data": rng.normal(4, 1.5, 200),
            "energy_model": rng.normal(4.3, 1.7, 400),
            "energy_noise": rng.normal(900, 200, 400),
            "chain_energy": rng.normal(4.3, 1.7, (8, 300)),
        },
        environment=ENVIRONMENT,
        reproduce=[
            "energax fit wells.csv --model mlp --objective persistent-cd --kernel hmc --num-steps 4000 --seed 0"
        ],
    )


def empty() -> Example:
    """A run of which nothing is known."""
    return Example()


def every() -> dict[str, Example]:
    return {"digits": digits(), "planar": planar(), "table": table(), "failing": failing(), "empty": empty()}


def failing() -> Example:
    rows = history(5000, 25)[:90]
    for k, row in enumerate(rows):
        if k >= 60:
            row["energy_gap"] *= 10.0 ** min(k - 60, 14)
            row["gradient_norm"] *= 10.0 ** min(k - 60, 12)
        if k >= 86:
            row["loss"] = float("nan")
    events = [
        {
            "kind": "energy_gap",
            "step": 1510,
            "began": 1502,
            "message": "The energy gap grew to 3.4e+04 nats, 120 times its usual size, from step 1510.",
            "action": "Went back to the checkpoint of step 1500 with half the learning rate.",
        },
        {
            "kind": "nonfinite_loss",
            "step": 2150,
            "message": "The loss is not finite from step 2150.",
            "action": "No recovery is left; training stopped and step 1500 is kept.",
        },
    ]
    return dataclasses.replace(
        digits(),
        history=rows,
        events=events,
        evaluation=None,
        arrays={},
        reproduce=["energax resume runs/digits-rbm-1"],
    )
