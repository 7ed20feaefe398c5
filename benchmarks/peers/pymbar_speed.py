"""MBAR by pymbar with its NumPy back end: free energies, error bars, seconds."""

import json
import statistics
import sys
import time
import warnings

import numpy as np
import pymbar

warnings.filterwarnings("ignore")
asked = json.loads(sys.argv[1])
with np.load(asked["path"]) as stored:
    energies, counts = stored["energies"], stored["counts"]
seconds = []
for _ in range(asked["repeats"]):
    begin = time.perf_counter()
    found = pymbar.MBAR(energies, counts).compute_free_energy_differences()
    seconds.append(time.perf_counter() - begin)
answer = {
    "free_energies": found["Delta_f"][0].tolist(),
    "stderr": found["dDelta_f"][0].tolist(),
    "seconds": statistics.median(seconds),
    "version": pymbar.__version__,
}
print(json.dumps(answer))
