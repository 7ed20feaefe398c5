"""Where runs live: a fresh directory, or an existing one."""

from __future__ import annotations

import re
from pathlib import Path

from energax._errors import RunError
from energax.runs._simulation_plan import SimulationPlan

FREE_ENERGY_FILE = "free_energy_plan.json"


def fresh_directory(out: str | Path | None, data: str, model: str) -> Path:
    """Create the directory of a new run: `out`, or the next free ``runs/DATA-MODEL-N``.

    Raises:
        RunError: `out` exists, or the place cannot be written to.
    """
    if out is not None and not str(out).strip():
        raise RunError("--out is empty: name a folder that does not exist yet.")
    if out is not None and "\0" in str(out):
        # Python's own words for it differ between versions.
        raise RunError(f"No run can be created in {str(out)!r}: a path holds no null character.")
    try:
        if out is not None:
            path = Path(out)
            path.mkdir(parents=True)
            return path
        stem = f"{_slug(data)}-{model}"
        root = Path("runs")
        root.mkdir(exist_ok=True)
        number = 1 + max(
            (int(m.group(1)) for p in root.iterdir() if (m := re.fullmatch(rf"{re.escape(stem)}-(\d+)", p.name))),
            default=0,
        )
        while True:
            path = root / f"{stem}-{number}"
            try:
                path.mkdir()
            except FileExistsError:
                number += 1
            else:
                return path
    except FileExistsError as error:
        if out is None:
            raise RunError(f"{Path.cwd() / 'runs'} is not a folder, so no run can be created in it.") from error
        go_on = f", or continue it with `energax resume {out}`" if _is_resumable(Path(out)) else ""
        raise RunError(
            f"{out} exists already; a run never overwrites anything. Choose another --out{go_on}."
        ) from error
    except OSError as error:
        raise RunError(f"No run can be created in {out or 'runs'}: {error.strerror or error}.") from error


def _is_resumable(path: Path) -> bool:
    return any((path / name).exists() for name in ("config.json", SimulationPlan.file, FREE_ENERGY_FILE))


def _slug(source: str) -> str:
    name = Path(source).stem if any(c in source for c in "/\\.") else source
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower() or "data"
