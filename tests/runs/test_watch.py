"""The walkers that watch a run, and the regions whose masses they tell."""

import numpy as np

from energax.objectives import PersistentCD, Watched
from energax.runs import Run, plan
from energax.runs._watch import landmarks


def test_landmarks_are_rows_in_every_mode():
    rng = np.random.default_rng(0)
    centres = 10.0 * np.stack([np.cos(angles := 2 * np.pi * np.arange(8) / 8), np.sin(angles)], axis=1)
    rows = centres[rng.integers(8, size=400)] + 0.3 * rng.normal(size=(400, 2))
    found = landmarks(rows)
    assert {tuple(row) for row in found} <= {tuple(row) for row in rows}
    nearest = np.argmin(((found[:, None] - centres) ** 2).sum(-1), axis=1)
    assert sorted(nearest) == list(range(8))
    assert len(landmarks(rows[:3])) == 3
    assert len(landmarks(np.zeros((5, 2)))) == 1


def test_a_run_is_watched_only_if_it_is_asked_for(tmp_path):
    for number, walkers in enumerate((0, 32)):
        config, data = plan("two-gaussians", training={"watch": walkers})
        objective = Run.create(config, data, out=tmp_path / str(number)).learner.objective
        if not walkers:
            assert isinstance(objective, PersistentCD)
            continue
        assert isinstance(objective, Watched)
        assert objective.num_walkers == 32
        assert objective.rows.shape == (256, 2)
        assert 2 <= len(objective.landmarks) <= 8
