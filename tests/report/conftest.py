"""The summaries beside this file, importable however pytest was told to import, and their pages."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of every example."""
    import report_examples

    from energax import report

    folder = tmp_path_factory.mktemp("pages")
    return {name: report.write(one, folder / f"{name}.html") for name, one in report_examples.every().items()}
