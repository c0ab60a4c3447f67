import pytest
from matplotlib.figure import Figure

from jaxnets.analysis.report import plots


@pytest.fixture
def undrawn(monkeypatch):
    """Pages have empty pictures, in tests that read text and captions alone: to draw them is most of a page's time."""
    monkeypatch.setattr(plots, "literal", lambda figure: Figure(figsize=(1, 1)))
