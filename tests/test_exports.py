"""Public names: complete, sorted, with one spelling; and an import that stays light."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
import types
from collections import defaultdict

import pytest

import energax

PACKAGES = sorted(energax._SUBPACKAGES)


@pytest.mark.parametrize("name", PACKAGES)
def test_all_is_complete_and_unique(name: str) -> None:
    module = importlib.import_module(f"energax.{name}")
    listed = list(module.__all__)
    public = {n for n, v in vars(module).items() if not n.startswith("_") and not isinstance(v, types.ModuleType)} - {
        "annotations",
        "TYPE_CHECKING",
    }
    public |= {n for n in listed if isinstance(getattr(module, n), types.ModuleType)}
    assert len(set(listed)) == len(listed)
    assert set(listed) == public, set(listed) ^ public
    assert module.__doc__


def test_every_object_has_one_public_path() -> None:
    paths = defaultdict(set)
    for name in PACKAGES:
        module = importlib.import_module(f"energax.{name}")
        for public in module.__all__:
            value = getattr(module, public)
            if isinstance(value, type | types.FunctionType):
                paths[id(value)].add(f"{name}.{public}")
    twice = [sorted(spellings) for spellings in paths.values() if len(spellings) > 1]
    assert not twice, twice


def test_front_door_leads_to_subpackages() -> None:
    for name, home in energax._FRONT_DOOR.items():
        assert getattr(energax, name) is getattr(importlib.import_module(f"energax.{home}"), name)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = energax.nonsense


def test_modules_are_private() -> None:
    """Only folders are public; files begin with an underscore."""
    for module in pkgutil.walk_packages(energax.__path__, "energax."):
        last = module.name.rpartition(".")[2]
        assert module.ispkg or last.startswith("_"), module.name


def test_import_is_light() -> None:
    code = "import sys, json, energax; print(json.dumps(sorted(m for m in sys.modules if '.' not in m)))"
    loaded = set(json.loads(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout))
    heavy = {"jax", "numpy", "scipy", "optax", "equinox", "blackjax", "orbax", "matplotlib", "rich", "tyro", "sklearn"}
    assert not loaded & heavy


def test_library_does_not_load_the_command_line_or_plots() -> None:
    code = (
        "import sys, json, energax as ex, energax.sampling, energax.training, energax.evaluation, energax.data;"
        "print(json.dumps(sorted(m for m in sys.modules if '.' not in m)))"
    )
    loaded = set(json.loads(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout))
    assert not loaded & {"matplotlib", "rich", "tyro", "sklearn", "jinja2", "pooch", "PIL", "blackjax", "orbax"}
