import pytest
from rich.console import Console

from jaxnets.runs.progress import Reporter


@pytest.fixture
def reporter():
    return Reporter(Console(quiet=True))
