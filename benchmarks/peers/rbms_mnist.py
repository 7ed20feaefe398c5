"""Trains a machine on binary images for so many seconds with `rbms`' persistent CD; keeps its parameters."""

import json
import sys
import time

import numpy as np
import torch
from rbms.bernoulli_bernoulli.classes import BBRBM
from rbms.training.pcd import fit_batch_pcd

a = json.loads(sys.argv[1])
torch.manual_seed(a["seed"])
torch.set_num_threads(a["threads"])
with np.load(a["data"]) as stored:
    data = torch.tensor(stored["train"].reshape(len(stored["train"]), -1), dtype=torch.float32)
mean = data.mean(0).clamp(0.005, 0.995)
params = BBRBM(
    weight_matrix=0.01 * torch.randn(data.shape[1], a["hidden"]), vbias=mean.logit(), hbias=torch.zeros(a["hidden"]),
    device=torch.device("cpu"), dtype=torch.float32,
)  # fmt: skip
chains = params.init_chains(num_samples=a["chains"])
optimizer = torch.optim.SGD(params.parameters(), lr=a["learning_rate"], maximize=True)
for parameter in params.parameters():
    parameter.grad = torch.zeros_like(parameter)

begin, updates = time.perf_counter(), 0
while (gone := (time.perf_counter() - begin) / a["seconds"]) < 1:
    # Its own trainer keeps the rate; it falls here as on our side.
    optimizer.param_groups[0]["lr"] = a["learning_rate"] * (1 - gone)
    rows = data[torch.randint(len(data), (a["batch"],))]
    optimizer.zero_grad(set_to_none=False)
    chains, _ = fit_batch_pcd(
        batch=(rows, torch.ones(len(rows), 1)), parallel_chains=chains, params=params, gibbs_steps=1, beta=1.0,
        centered=True, lambda_l2=0.5 * a["weight_decay"],
    )  # fmt: skip
    optimizer.step()
    updates += 1
seconds = time.perf_counter() - begin
np.savez(a["out"], *(p.numpy() for p in (params.weight_matrix, params.vbias, params.hbias)))
print(json.dumps({"updates": updates, "seconds": seconds}))
