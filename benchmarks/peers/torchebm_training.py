"""Training steps of `torchebm`: loss, backward pass and Adam, on a network of its own harness's size."""

import json
import os
import resource
import sys
import time

import torch
from torch import nn
from torchebm.core import BaseModel
from torchebm.losses import ContrastiveDivergence, DenoisingScoreMatching, ScoreMatching, SlicedScoreMatching
from torchebm.samplers import LangevinDynamics


class Network(BaseModel):
    """Two hidden layers of 128 units and the energy of N(0, I)."""

    def __init__(self, dim):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(dim, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU(), nn.Linear(128, 1))

    def forward(self, x):
        return self.net(x).squeeze(-1) + 0.5 * x.pow(2).sum(-1)


class Quadratic(BaseModel):
    """E(x) = a ‖x‖²/2, whose exact score matching loss is known."""

    def forward(self, x):
        return 1.5 * x.pow(2).sum(-1) / 2


def peak():
    """The most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


a = json.loads(sys.argv[1])
torch.manual_seed(0)
imported = peak()
torch.set_num_threads(len(os.sched_getaffinity(0)))
model, x = Network(a["dim"]), torch.randn(a["batch"], a["dim"])
made = {
    "CD-10": lambda: ContrastiveDivergence(
        model, LangevinDynamics(model, step_size=1e-2, noise_scale=1.0), k_steps=10, energy_reg_weight=0.0
    ),
    "denoising": lambda: DenoisingScoreMatching(model, noise_scale=0.1),
    "sliced": lambda: SlicedScoreMatching(model, n_projections=5),
    "exact": lambda: ScoreMatching(model, hessian_method="exact"),
}
objective = made[a["objective"]]()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)


def step():
    """One update."""
    optimizer.zero_grad()
    loss = objective(x)
    loss = loss[0] if isinstance(loss, tuple) else loss
    loss.backward()
    optimizer.step()


def timed(count):
    """Seconds of a step, of so many."""
    begin = time.perf_counter()
    for _ in range(count):
        step()
    return (time.perf_counter() - begin) / count


timed(5)
seconds = min(timed(2 * a["repeats"]) for _ in range(2))
memory = peak() - imported
known = ScoreMatching(Quadratic(), hessian_method="exact")(x)
excess = float(known.detach()) - float(0.5 * 2.25 * x.pow(2).sum(-1).mean() - 1.5 * a["dim"])
print(json.dumps({"seconds": seconds, "memory": memory, "excess": excess}))
