"""Entry point: which command, and how its end becomes an exit status."""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import sys
from collections.abc import Sequence

from energax import __version__
from energax._errors import Diverged, EnergaxError, MissingExtra, Unreliable, nearest

COMMANDS = {
    "fit": "train a model on data, judge it, and write a page about it",
    "resume": "continue an interrupted run, simulation, free energy or study",
    "compare": "train every family of generative models on data, and compare",
    "compare-objectives": "train one model by every objective that fits the data, and compare",
    "simulate": "simulate a model of physics at one or several temperatures",
    "free-energy": "log Z and free energy of a model, a run or a file",
    "uncertainty": "which predictions of a graph network to distrust: scores of nodes under shifts",
    "sample": "draw from a trained model",
    "restore": "restore a damaged image by a trained generator",
    "evaluate": "judge a trained model: likelihood with an interval, sample quality",
    "report": "rebuild the page of a run",
    "data": "list the named data sets, or show one",
}
_MODULES = {"resume": "fit", "free-energy": "free_energy", "compare-objectives": "compare_objectives"}
_NEEDED = ("tyro", "rich", "matplotlib", "jinja2")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 on success, 1 if the computation failed, 2 for a mistake in what was asked, 130 if interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    _tolerate_narrow_streams()
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"energax {__version__}")
        return 0
    try:
        return _run(arguments[0], arguments[1:])
    except EnergaxError as error:
        _complain(str(error))
        return 1 if isinstance(error, Diverged | Unreliable) else 2
    except KeyboardInterrupt:
        _complain("Interrupted.")
        return 130
    except BrokenPipeError:
        # The reader of our output has gone: keep Python from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        _complain(f"There is not enough memory ({error}). Use a smaller model, fewer chains or smaller data.")
        return 1


def _run(command: str, arguments: list[str]) -> int:
    if command not in COMMANDS:
        _complain(f"Unknown command {command!r}. {nearest(command, COMMANDS)}")
        return 2
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtra(f'The command line needs {", ".join(missing)}: pip install "energax[cli]".')
    module = importlib.import_module(f"energax.cli._{_MODULES.get(command, command)}")
    return getattr(module, command.replace("-", "_"))(arguments)


def usage() -> str:
    """The text of ``energax --help``."""
    width = max(map(len, COMMANDS))
    lines = "\n".join(f"  {name:<{width}}  {text}" for name, text in COMMANDS.items())
    head = f"energax {__version__}: energy-based models\n\nusage: energax COMMAND ...   (energax COMMAND --help)"
    return f"{head}\n\n{lines}"


def _tolerate_narrow_streams() -> None:
    """Streams that cannot write a character, such as ≤ in a terminal of plain ASCII, write a question mark instead."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _complain(message: str) -> None:
    sys.stdout.flush()
    print(f"energax: {' '.join(message.split())}", file=sys.stderr)
