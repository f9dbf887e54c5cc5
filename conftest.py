"""What the snippets in docstrings may use without importing it."""

from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _names_of_snippets(doctest_namespace: dict[str, Any]) -> None:
    import torch
    from torch import nn

    import osler

    doctest_namespace.update(osler=osler, torch=torch, nn=nn)
