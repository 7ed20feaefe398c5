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
options = {"data": rows["train"], "budget": budget, "key": jax.random.key(7)}
if kept.exists():
    steps = sorted(ex.training.checkpoints(kept))
    models = [ex.training.load_energy(kept, like=rbm, step=step) for step in steps]
    found = ex.evaluation.log_z_from_checkpoints(models, **options)
else:
    found = ex.evaluation.log_z(rbm, **options)


def mean(split):
    """Of −E over the rows of a split."""
    return -float(np.mean(jax.vmap(ex.energies.marginal(rbm))(jnp.asarray(rows[split]))))


at_test = mean("test")
ends = found.interval.negated().shifted(at_test)
answer = {
    "test, lower": ends.lower, "test, upper": ends.upper, "kinds": f"{ends.lower_kind} / {ends.upper_kind}",
    "test, value": at_test - found.value, "validation, upper": mean("valid") - found.interval.lower,
    "log Z by": f"{found.method}, {'checkpoints' if kept.exists() else 'temperatures'}",
}  # fmt: skip
print("\n".join(found.warnings), file=sys.stderr)
print(json.dumps(answer))
