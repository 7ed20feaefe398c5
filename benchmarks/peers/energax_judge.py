"""Both ends of the mean log-likelihood of binary images under a machine, along its checkpoints where there are some.

Without them ladders of temperatures do not mix on these machines whatever the budget, so that a quarter of it is taken.
"""

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import energax as ex

a = json.loads(sys.argv[1])
with np.load(a["parameters"]) as stored:
    rbm = ex.energies.RBM.from_parameters(*(jnp.asarray(stored[name]) for name in stored.files))
with np.load(a["data"]) as stored:
    rows = {name: stored[name].reshape(len(stored[name]), -1).astype(np.int8) for name in stored.files}
kept = Path(a["parameters"]).with_suffix("")
budget = a["budget"] if kept.exists() else a["budget"] // 4
earlier = []
if kept.exists():
    *steps, _ = sorted(ex.training.checkpoints(kept))
    earlier = [ex.training.load_energy(kept, like=rbm, step=step) for step in steps]
found = ex.evaluation.log_likelihood(
    rbm, rows["test"], data=rows["train"], checkpoints=earlier, budget=budget, key=jax.random.key(7)
)
at_valid = -float(np.mean(jax.vmap(ex.energies.marginal(rbm))(jnp.asarray(rows["valid"]))))
ends, log_z = found.interval, found.log_z
answer = {
    "test, lower": ends.lower, "test, upper": ends.upper, "kinds": f"{ends.lower_kind} / {ends.upper_kind}",
    "test, value": ends.upper + log_z.interval.lower - log_z.value,
    "validation, upper": at_valid - log_z.interval.lower,
    "log Z by": f"{log_z.method}, {'checkpoints' if earlier else 'temperatures'}",
}  # fmt: skip
print("\n".join(found.warnings), file=sys.stderr)
print(json.dumps(answer))
