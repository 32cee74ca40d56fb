"""The terminal end to end: a real worker measures a real, small model."""

import json
import subprocess
import sys

import pytest

from profiler.record.process import ROOT


def profiler(*words):
    return subprocess.run(
        [sys.executable, "-m", "profiler", *map(str, words)], check=False, cwd=ROOT, capture_output=True, text=True, timeout=240
    )


@pytest.fixture(scope="module")
def measured(tiny_folder):
    """One run of the tiny model, as JSON."""
    return profiler(
        "run",
        tiny_folder,
        "--prompt-tokens",
        16,
        "--new-tokens",
        8,
        "--batch",
        2,
        "--threads",
        1,
        "--seconds",
        1,
        "--dtype",
        "float32",
        "--json",
    )


def test_a_run_prints_one_json_object(measured):
    """spec, machine, metrics, memory, phases, verdict and command; exit code 0."""
    told = json.loads(measured.stdout)

    assert measured.returncode == 0
    assert told["status"] == "finished"
    assert {"spec", "machine", "metrics", "memory", "phases", "verdict", "command"} <= told.keys()
    assert {"time_to_first_token", "time_per_token", "decode_rate", "load_time", "cold_prefill"} <= told["metrics"].keys()
    assert told["metrics"]["time_per_token"]["count"] == 7 * told["metrics"]["time_to_first_token"]["count"]


def test_the_waterfall_sums_to_the_median(measured):
    """The parts of each phase sum to what was measured."""
    for fall in json.loads(measured.stdout)["waterfall"].values():
        assert sum(fall["parts"].values()) == pytest.approx(fall["measured"], rel=1e-6)


def test_the_memory_is_accounted(measured, tiny_folder):
    """Weights exactly as the checkpoint's; the cache as the formula says."""
    told = json.loads(measured.stdout)

    assert told["memory"]["weights"] == pytest.approx((tiny_folder / "model.safetensors").stat().st_size, rel=0.01)
    assert told["memory"]["KV cache"] == 2 * 2 * 2 * 16 * 4 * 2 * 23  # K and V, layers, heads, width, bytes, batch, tokens but the last


def test_the_run_is_in_the_store(measured):
    """Listed, shown, exported, imported, deleted by later commands."""
    id = json.loads(measured.stdout)["id"]

    assert id in profiler("runs", "list", "--json").stdout
    assert "decode" in profiler("runs", "show", id).stdout
    exported = profiler("runs", "export", id).stdout
    assert json.loads(exported)["id"] == id
    assert profiler("runs", "show", "nothing").returncode == 2


def test_runs_travel_as_files(measured, tmp_path):
    """Export to a file, import it, delete the copy."""
    id, file = json.loads(measured.stdout)["id"], tmp_path / "run.json"
    assert profiler("runs", "export", id, file).returncode == 0
    copy = profiler("runs", "import", file).stdout.strip()

    assert copy.startswith(id)
    assert profiler("runs", "delete", copy).returncode == 0
    assert profiler("runs", "import", tmp_path / "none.json").returncode == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nosuchmodel"], "nosuchmodel"),
        (["smollm2", "--batch", "0"], "batch"),
        (["smollm2", "--prompt-tokens", "9000"], "8192"),
        (["smollm2", "--dtype", "int3"], "float32"),
        (["smollm2", "--device", "cuda:7"], "cuda:7"),
        (["smollm2", "--device", "tpu"], "device"),
        (["smollm2", "--threads", "4000"], "threads"),
        (["smollm2", "--batch", "4000", "--prompt-tokens", "8000"], "KV cache"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(words, said):
    """No traceback, no long work; with --json the reason is an object on standard output."""
    done = profiler("run", *words, "--json")

    assert done.returncode == 2
    assert said in json.loads(done.stdout)["reason"]
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_damaged_model_fails_the_run(tiny_folder, tmp_path):
    """What only the worker can see ends as a failed run: exit code 1, one sentence, the run kept."""
    (tmp_path / "config.json").write_bytes((tiny_folder / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 100)
    done = profiler("run", tmp_path, "--json")
    told = json.loads(done.stdout)

    assert done.returncode == 1
    assert told["status"] == "failed"
    assert "damaged" in told["reason"]
    assert told["command"].startswith("python -m profiler run")


def test_ceilings_are_measured():
    """Read and copy bandwidth, matrix rate, dispatch."""
    done = profiler("ceilings", "--quick", "--dtype", "float32", "--threads", 1, "--json")
    told = json.loads(done.stdout)["ceilings"]

    assert done.returncode == 0
    assert told["matmul"]["float32"] > 1e9
    assert max(told["read"].values()) > 1e9


def test_the_catalogue_is_listed():
    """Twenty models and more, the default first."""
    told = json.loads(profiler("models", "--json").stdout)["models"]

    assert len(told) >= 20
    assert told[0]["id"] == "smollm2-135m"
