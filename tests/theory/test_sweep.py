"""A sweep is the same prediction, many times."""

from math import isnan

import numpy as np
import pytest

from profiler.catalog import devices, models
from profiler.spec.deployment import Deployment
from profiler.spec.formats import Precision
from profiler.theory import sweep as module
from profiler.theory.estimate import estimate
from profiler.theory.sweep import Workload, sweep

MODELS = [models.find(name).spec() for name in ("llama-3-8b", "mixtral-8x7b", "deepseek-v3", "gemma-2-9b", "mamba2-2.7b")]
DEVICES = [devices.find(name) for name in ("H100 SXM", "RTX 4090", "M2 Ultra", "MI300X", "TPU v5e", "T4")]


def cells(workload, groups, of=tuple(MODELS)):
    """(model, deployment, batch, prompt) → the row of all columns."""
    return {
        (block.model.name, placed.device.id, placed.precision.weights, batch, prompt): {
            name: column[i, j, k] for name, column in block.columns.items()
        }
        for block in sweep(of, groups, workload)
        for i, placed in enumerate(block.deployments)
        for j, batch in enumerate(block.batches)
        for k, prompt in enumerate(block.prompts)
    }


@pytest.mark.parametrize("split", [{}, {"devices": 4, "tensor": 4}, {"devices": 4, "tensor": 2}, {"devices": 2, "pipeline": 2}])
@pytest.mark.parametrize(
    ("engine", "format"), [("vllm", "bfloat16"), ("llama.cpp", "q4_k_m"), ("eager", "nf4"), ("tensorrt-llm", "float8")]
)
def test_every_cell_is_the_estimate_of_its_configuration(split, engine, format):
    """Times, intervals, rates, memory and energy of each are those that one prediction gives."""
    group = [Deployment(device=device, engine=engine, precision=Precision.of(format), **split) for device in DEVICES]
    found = cells(Workload((1, 24), (100, 9000), 50), [group])

    assert len(found) == len(MODELS) * len(DEVICES) * 4
    for model in MODELS:
        for placed in group:
            for batch, prompt in ((1, 100), (24, 9000)):
                row = found[model.name, placed.device.id, format, batch, prompt]
                one = estimate(model, placed, batch, prompt, 50)
                ends = {
                    "time_to_first_token": one.prefill.time,
                    "time_to_first_token_low": one.prefill.low,
                    "time_to_first_token_high": one.prefill.high,
                    "time_per_token": one.decode.time,
                    "time_per_token_low": one.decode.low,
                    "time_per_token_high": one.decode.high,
                    "tokens_per_second": one.rate,
                    "throughput": one.throughput,
                    "memory": one.memory,
                    "fits": one.fits,
                    "in_context": prompt + 50 <= model.context,
                }
                assert {name: row[name] for name in ends} == pytest.approx(ends, rel=1e-9), (model.name, placed.device.id)
                assert isnan(row["energy_per_token"]) if one.energy is None else row["energy_per_token"] == pytest.approx(one.energy)


def test_pieces_make_the_whole(monkeypatch):
    """However few configurations are calculated together, all come out, and the same."""
    group = [[Deployment(device=device) for device in DEVICES]]
    workload = Workload((1, 2, 4, 8), (128, 256, 512), 32)
    whole = cells(workload, group)
    monkeypatch.setattr(module, "CELLS", 7)
    pieces = cells(workload, group)

    assert len(whole) == len(MODELS) * len(DEVICES) * 12
    assert pieces.keys() == whole.keys()
    assert all(np.allclose(list(pieces[key].values()), list(whole[key].values()), rtol=1e-12, equal_nan=True) for key in whole)


def test_a_larger_batch_never_takes_less_time_or_memory():
    """Along the batch, times and memory only grow; the decode rate of all sequences together does, too."""
    block = next(sweep(MODELS[:1], [[Deployment(device=DEVICES[0])]], Workload((1, 2, 4, 8, 16), (512,), 64)))

    for name in ("time_to_first_token", "time_per_token", "memory", "tokens_per_second"):
        assert np.all(np.diff(block.columns[name][0, :, 0]) > 0), name
