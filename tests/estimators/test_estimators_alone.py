"""The folder works without jax, its front door is complete, and its examples run."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import energax.estimators as estimators

MODULES = sorted(m.name for m in pkgutil.iter_modules(estimators.__path__))
ALLOWED = ("numpy", "scipy", "energax._errors", "energax.estimators")


def test_importing_estimators_imports_no_jax():
    code = "import sys, energax.estimators; print(sorted({'jax', 'jaxlib', 'equinox'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", MODULES)
def test_modules_import_nothing_but_numpy_scipy_and_the_error_tree(name):
    tree = ast.parse(Path(estimators.__path__[0], f"{name}.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or "."] if isinstance(node, ast.ImportFrom) else []
        for imported in names:
            assert imported.split(".")[0] in sys.stdlib_module_names or imported.startswith(ALLOWED), imported


def test_public_names_are_sorted_complete_and_documented():
    assert estimators.__all__ == sorted(estimators.__all__)
    public = {n for n in vars(estimators) if not n.startswith("_")}
    assert public - set(estimators.__all__) <= {"annotations"}
    for name in estimators.__all__:
        value = getattr(estimators, name)
        if inspect.isfunction(value) or inspect.isclass(value):
            assert (value.__doc__ or "").strip(), name


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    result = doctest.testmod(importlib.import_module(f"energax.estimators.{name}"))
    assert result.failed == 0
