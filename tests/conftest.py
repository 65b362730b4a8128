"""Shared fixtures and the two markers: `slow` (run by make test-all) and `real` (needs ../shared/data)."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from graded.retrieval.threads import cores

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the slow tests too")


def pytest_report_header(config: pytest.Config) -> str | None:
    return None if config.getoption("--slow") else "slow tests are left out: `make test-all` runs them too"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        items[:] = [item for item in items if not item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
    for item in items:
        if item.get_closest_marker("real") and not REAL.is_dir():
            item.add_marker(pytest.mark.skip(reason=f"real texts are not here: {REAL} is absent"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real texts; use with the marker `real`."""
    return REAL


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one; of no DVC experiment, without a budget or prices of its own."""
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_ROOT", "GRADED_BUDGET_USD", "GRADED_PRICES"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def purse(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``here``, with a key and 1,000 dollars to buy with."""
    monkeypatch.setenv("GRADED_BUDGET_USD", "1000")
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    return here


def pytest_xdist_auto_num_workers() -> int:
    """Workers of `-n auto`: the cores this process may use; xdist counts the machine's."""
    return min(cores(), psutil.cpu_count(logical=False) or cores())
