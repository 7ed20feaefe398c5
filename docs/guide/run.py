"""Run the programs of the guide, each in a process of its own, and keep their figures."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
PAGES = tuple(sorted(path.stem for path in HERE.glob("*.md") if path.stem != "README"))


def program(page: str) -> str:
    """The Python blocks of a page, one after the other."""
    text = (HERE / f"{page}.md").read_text(encoding="utf-8")
    return "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))


def run(page: str, out: Path) -> str:
    """What the program of a page prints; its figure is put into a folder."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / f"{page}.py"
        script.write_text(program(page), encoding="utf-8")
        environment = {**os.environ, "MPLBACKEND": "agg"}
        done = subprocess.run(
            [sys.executable, str(script)], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        out.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(folder) / f"{page}.png", out)
    return done.stdout


def main() -> None:
    """Run the pages that are named, and print what their programs print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", metavar="PAGE", help=f"some of {', '.join(PAGES)}; all by default")
    parser.add_argument("--out", type=Path, default=HERE.parent / "images" / "guide", help="where the figures go")
    asked = parser.parse_args()
    if unknown := set(asked.pages) - set(PAGES):
        parser.error(f"there is no page {', '.join(sorted(unknown))}; there are {', '.join(PAGES)}.")
    for page in asked.pages or PAGES:
        begin = time.perf_counter()
        print(f"== {page}\n{run(page, asked.out)}({time.perf_counter() - begin:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
