"""Langevin dynamics and HMC of `torchebm` on its own double well, in the sizes of its own harness."""

import json
import sys
import time

import torch
from torchebm.core import DoubleWellModel
from torchebm.samplers import HamiltonianMonteCarlo, LangevinDynamics

a = json.loads(sys.argv[1])
torch.manual_seed(0)
torch.set_num_threads(a["threads"])
model = DoubleWellModel(barrier_height=a["barrier"])
samplers = {
    "langevin": LangevinDynamics(model, step_size=a["step_size"], noise_scale=1.0),
    "hmc": HamiltonianMonteCarlo(model, step_size=a["step_size"], n_leapfrog_steps=10),
}
sampler, x = samplers[a["sampler"]], torch.randn(a["chains"], a["dim"])
for _ in range(3):
    sampler.sample(x=x, n_steps=a["steps"])
times = []
for _ in range(a["repeats"]):
    begin = time.perf_counter()
    end = sampler.sample(x=x, n_steps=a["steps"])
    times.append(time.perf_counter() - begin)
print(json.dumps({"seconds": sorted(times)[len(times) // 2], "second_moment": float(end.pow(2).mean())}))
