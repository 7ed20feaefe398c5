"""What an objective trains beside the energy: declared by name, moved by its own optimiser, saved with the run."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from energax import energies, objectives, spaces, training
from energax._errors import ArgumentError

ADAM = optax.adam(1e-2)


class Saddle(objectives.AbstractObjective):
    """Loss = E(0) + ½ θ² + 3 a θ − ½ a² + b θ with θ the parameter of the energy; a climbs, b goes down."""

    a: jax.Array = eqx.field(metadata=objectives.companion(ascends=True), converter=jnp.asarray)
    b: dict = eqx.field(metadata=objectives.companion(learning_rate=1e-2))

    def check(self, energy):
        pass

    def init(self, energy, batch, *, key):
        return None

    def loss(self, energy, batch, state, *, key):
        theta = energy.params
        noise = 0.1 * jax.random.normal(key, ())
        loss = 0.5 * theta**2 + 3 * self.a * theta - 0.5 * self.a**2 + self.b["value"] * theta + noise * theta
        return loss, (state, {"a": self.a})


class Twice(objectives.AbstractObjective):
    """An objective around another."""

    objective: objectives.AbstractObjective

    def check(self, energy):
        self.objective.check(energy)

    def init(self, energy, batch, *, key):
        return self.objective.init(energy, batch, key=key)

    def loss(self, energy, batch, state, *, key):
        loss, aux = self.objective.loss(energy, batch, state, key=key)
        return 2 * loss, aux


class Pair(objectives.AbstractObjective):
    first: Saddle
    second: Saddle

    def check(self, energy):
        pass

    def init(self, energy, batch, *, key):
        return None

    def loss(self, energy, batch, state, *, key):
        return self.first.loss(energy, batch, state, key=key)


def line(theta, x):
    return theta * jnp.sum(x)


MODEL = energies.energy(line, jnp.asarray(1.0), space=spaces.Euclidean(1))
SADDLE = Saddle(0.5, {"value": jnp.asarray(2.0), "label": 3})
BATCH = np.arange(4, dtype=np.float32)[:, None]


def test_they_are_found_by_name_also_inside_a_wrapper():
    for objective in (SADDLE, Twice(SADDLE)):
        assert {n: c.ascends for n, c in objectives.companions(objective).items()} == {"a": True, "b": False}
        moved = objectives.with_companions(objective, {"a": jnp.asarray(7.0), "b": {"value": 1.0, "label": 3}})
        assert float(objectives.companion_values(moved)["a"]) == 7.0
    assert objectives.companions(objectives.DenoisingScoreMatching(0.1)) == {}
    with pytest.raises(ArgumentError, match="Two companions of Pair have one name: a, a, b, b"):
        objectives.companions(Pair(SADDLE, SADDLE))


def test_one_loss_moves_all_each_in_its_own_direction(key):
    """Plain gradient steps of sizes 0.1, 0.2 and 0.3; the noise drops out of the gradients of a and b."""
    options = {"a": optax.sgd(0.2), "b": optax.sgd(0.3)}
    learner = training.Learner(MODEL, SADDLE, optimizer=optax.sgd(0.1), companion_optimizers=options)
    state = learner.init(BATCH, key=key)
    slower = eqx.tree_at(lambda s: s.learning_rate_scale, state, jnp.asarray(0.5))
    for start, scale in ((state, 1.0), (slower, 0.5)):
        after, _ = learner.update(start, BATCH, key=key)
        assert float(after.companions["a"]) == pytest.approx(0.5 + scale * 0.2 * (3 * 1.0 - 0.5))
        assert float(after.companions["b"]["value"]) == pytest.approx(2.0 - scale * 0.3 * 1.0)
        assert after.companions["b"]["label"] == 3
        noise = 0.1 * float(jax.random.normal(key, ()))
        assert float(after.energy.params) == pytest.approx(1.0 - scale * 0.1 * (1.0 + 1.5 + 2.0 + noise))


class Killed(BaseException):
    pass


class KillAt:
    def on_log(self, step, metrics):
        if step >= 8:
            raise Killed


def test_a_killed_run_goes_on_bitwise_with_its_companions(same_bytes, tmp_path, key):
    learner = training.Learner(MODEL, SADDLE, optimizer=ADAM, companion_optimizers={"a": ADAM, "b": ADAM})
    options = {"key": key, "num_steps": 12, "batch_size": 4, "log_every": 2, "checkpoint_every": 3}
    whole = training.fit(learner, BATCH, directory=tmp_path / "whole", **options)
    with pytest.raises(Killed):
        training.fit(learner, BATCH, directory=tmp_path / "killed", hooks=[KillAt()], **options)
    resumed = training.fit(learner, BATCH, directory=tmp_path / "killed", resume=True, **options)
    same_bytes(whole, resumed)
    assert float(whole.state.companions["a"]) != 0.5
    saved = training.load_state(tmp_path / "killed", like=learner.init(BATCH, key=key))
    assert float(saved.companions["a"]) == float(whole.state.companions["a"])
    assert int(saved.companion_opt_states["a"][0].count) == 12


def test_a_companion_that_does_not_exist_is_refused():
    with pytest.raises(ArgumentError, match=r"Saddle trains no companion 'critic'\. It has: a, b"):
        training.Learner(MODEL, SADDLE, companion_optimizers={"critic": ADAM})
