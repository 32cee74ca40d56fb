"""Data sheets: precise names, dense rates."""

import pytest

from profiler.catalog.datasheets import name_of, sheet, sheets
from profiler.spec.machine import Gpu
from tests.builders import MACHINE


def test_a_precise_name_is_found():
    """As the driver writes it; capitals and spaces do not matter."""
    assert sheet("NVIDIA H100 80GB HBM3").title == "H100 SXM"
    assert sheet("nvidia  h100 80gb hbm3").bandwidth == 3.35e12
    assert sheet("NVIDIA H100 PCIe").bandwidth == 2e12


@pytest.mark.parametrize("name", ["AMD EPYC", "NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA H100", "Test CPU", ""])
def test_no_name_is_guessed(name):
    """A name that does not tell the model, or a relative of a listed one, has no data sheet."""
    assert sheet(name) is None


def test_every_row_has_a_source_and_ordered_rates():
    """Bandwidth of 50 GB/s to 10 TB/s; a narrower format is never slower; nobody doubles by sparsity."""
    for name, row in sheets().items():
        assert row.source, name
        assert 5e10 < row.bandwidth < 1e13, name
        rates = [row.peak[dtype] for dtype in ("float32", "bfloat16", "int8") if dtype in row.peak]
        assert rates == sorted(rates), name
        assert max(rates, default=0) < 5e15, name


def test_a_device_is_called_as_the_system_calls_it():
    """The accelerator by its driver's name, the processor by its own."""
    machine = MACHINE.model_copy(update={"gpus": (Gpu(device="cuda:0", name="Tesla T4", memory=16 << 30),)})

    assert name_of(machine, "cuda:0") == "Tesla T4"
    assert name_of(machine, "cpu") == "Test CPU"
