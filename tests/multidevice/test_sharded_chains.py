"""Chains on one device and spread over 2 and 8: the same numbers, and no traffic between the devices."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXACT = ("rbm", "ising", "packed")


@pytest.fixture(scope="module")
def told() -> dict:
    script = Path(__file__).with_name("sharded_chains.py")
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_there_are_eight_devices(told):
    assert told["num_devices"] == 8


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("num_devices", [2, 8])
def test_lattices_and_machines_are_bitwise_equal(told, name, num_devices):
    assert told[name][f"equal-{num_devices}"]


def test_other_kernels_agree_to_rounding_in_the_first_step(told):
    assert told["well"]["close-8"] < 1e-5


@pytest.mark.parametrize("name", [*EXACT, "well"])
def test_the_main_loop_has_no_collectives(told, name):
    """And its arrays are blocks of two chains of sixteen, so the work is divided and not repeated."""
    assert told[name]["collectives"] == []
    assert told[name]["partitioned"]
    assert told[name]["devices"] == 8


@pytest.mark.parametrize("name", EXACT)
def test_accumulators_are_the_same(told, name):
    assert told[name]["mean-8"] == 0
