"""Block Gibbs and persistent-CD updates of a Bernoulli machine with `rbms`, timed after a warm-up."""

import json
import sys
import time

import numpy as np
import torch
from rbms.bernoulli_bernoulli.classes import BBRBM
from rbms.training.pcd import fit_batch_pcd

a = json.loads(sys.argv[1])
torch.manual_seed(0)
torch.set_num_threads(a["threads"])
rng = np.random.default_rng(0)
weights = torch.tensor(0.05 * rng.standard_normal((a["visible"], a["hidden"])), dtype=torch.float32)
params = BBRBM(
    weight_matrix=weights, vbias=torch.zeros(a["visible"]), hbias=torch.zeros(a["hidden"]),
    device=torch.device("cpu"), dtype=torch.float32,
)  # fmt: skip
chains = params.init_chains(num_samples=a["chains"])
chains = params.sample_state(chains=chains, n_steps=20, beta=1.0)
begin = time.perf_counter()
chains = params.sample_state(chains=chains, n_steps=a["steps"], beta=1.0)
gibbs = a["chains"] * a["steps"] / (time.perf_counter() - begin)

data = torch.tensor(rng.random((a["batch"], a["visible"])) < 0.3, dtype=torch.float32)
optimizer = torch.optim.SGD(params.parameters(), lr=0.01, maximize=True)
for parameter in params.parameters():
    parameter.grad = torch.zeros_like(parameter)
batch = (data, torch.ones(a["batch"], 1))


def update(chains):
    optimizer.zero_grad(set_to_none=False)
    chains, _ = fit_batch_pcd(
        batch=batch, parallel_chains=chains, params=params, gibbs_steps=1, beta=1.0, centered=False
    )
    optimizer.step()
    return chains


for _ in range(5):
    chains = update(chains)
begin = time.perf_counter()
for _ in range(a["updates"]):
    chains = update(chains)
print(json.dumps({"chain_steps_per_second": gibbs, "updates_per_second": a["updates"] / (time.perf_counter() - begin)}))
