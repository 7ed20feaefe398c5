"""Fixtures of the whole suite: keys that hang on the test's name, the data folder, and what is told at the end."""

from __future__ import annotations

import gc
import os
import shutil
import zlib
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:
    # As many workers as cores: threads of their own would only wait for each other. Read when NumPy is loaded.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import jax
import pytest

# Tracing makes millions of objects that stay, which the default of 700 would look through again and again.
gc.set_threshold(50_000, 20, 20)

_MOST_MAPPINGS = 8_000

_WANTED_DATA = pytest.StashKey[int]()


@pytest.fixture
def key(request: pytest.FixtureRequest) -> jax.Array:
    """A key of the test's own, the same on every machine and in every order."""
    return jax.random.key(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder that ENERGAX_DATA names."""
    return Path(os.environ["ENERGAX_DATA"])


def chromium() -> str | None:
    """Path of a Chromium binary, None where there is none."""
    return next((p for name in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(name))), None)


def pytest_configure(config: pytest.Config) -> None:
    """Programs of the fast suite are compiled without optimisation, which is half of its time.

    They run once and on little data. What is slow, the commands of `.ci/run` and all that comes with XLA_FLAGS of its
    own are compiled as they are for users. XLA reads the variable when it is first used.
    """
    if "not slow" in config.option.markexpr:
        os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Forget compiled programs between files, where a process holds many.

    Each program holds some mappings of memory, of which Linux allows a process 65,530; beyond that the compiler dies
    with a segmentation fault. Compiling becomes slow long before.
    """
    if nextitem is not None and nextitem.path != item.path and _num_mappings() > _MOST_MAPPINGS:
        jax.clear_caches()
        gc.collect()


def _num_mappings() -> int:
    maps = Path("/proc/self/maps")
    return len(maps.read_bytes().splitlines()) if maps.exists() else 0


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = 0
    for item in items:
        if item.get_closest_marker("needs_data") and not os.environ.get("ENERGAX_DATA"):
            item.add_marker(pytest.mark.skip(reason="ENERGAX_DATA is not set"))
            wanted += 1
        if item.get_closest_marker("browser") and chromium() is None:
            item.add_marker(pytest.mark.skip(reason="no Chromium binary was found"))
    config.stash[_WANTED_DATA] = wanted


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    skipped = [r for r in terminalreporter.stats.get("skipped", []) if "ENERGAX_DATA" in str(r.longrepr)]
    count = max(len(skipped), config.stash.get(_WANTED_DATA, 0))
    if count:
        terminalreporter.write_line(
            f"{count} tests wanted the data folder and were skipped: set ENERGAX_DATA to run them."
        )
