"""Scoring: the device that it runs on."""

import pytest

torch = pytest.importorskip("torch")

from nas.core.errors import NasError  # noqa: E402  # skipped above where there is no torch
from nas.training.evaluate import pick_device  # noqa: E402

pytestmark = pytest.mark.torch


def test_a_missing_gpu_is_reported() -> None:
    if torch.cuda.is_available():
        assert pick_device("auto").type == "cuda"
    else:
        assert pick_device("auto").type == "cpu"
        with pytest.raises(NasError, match="torch finds no GPU; use `device=cpu`"):
            pick_device("cuda")
