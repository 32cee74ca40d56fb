"""The terminal's predictions: one, many, and beside published measurements."""

import csv
import json

import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from profiler.catalog import hub
from profiler.cli import app
from profiler.cli_sweep import numbers
from tests.builders import ceilings, kernels

LLAMA = 8_030_261_248  # parameters of Llama-3-8B, as its checkpoint has them


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def told(*words):
    """The JSON of a prediction."""
    result = run("predict", *words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_prediction_has_times_with_intervals_memory_and_energy():
    """Every number is in SI units, and they agree with each other."""
    found = told("llama-3-8b", "h100", "--batch", 4, "--prompt-tokens", 384, "--new-tokens", 128)
    each, first = found["time_per_token"], found["time_to_first_token"]

    assert found["model"]["parameters"] == LLAMA
    assert all(one["low"] < one["value"] < one["high"] for one in (each, first, found["throughput"], found["tokens_per_second"]))
    assert found["tokens_per_second"]["value"] == pytest.approx(4 / each["value"])
    assert found["throughput"]["value"] == pytest.approx(4 * 128 / (first["value"] + 128 * each["value"]))
    assert sum(found["spent"]["decode"].values()) == pytest.approx(each["value"])
    assert sum(found["spent"]["prefill"].values()) == pytest.approx(first["value"])
    assert found["memory"]["weights"] == pytest.approx(2 * LLAMA, rel=1e-3)
    assert found["memory"]["kv_cache"] == pytest.approx(4 * 512 * 2 * 32 * 8 * 128 * 2, rel=0.01)  # 32 layers, 8 heads of 128, 2 bytes
    assert found["memory"]["capacity"] == 81559 * 2**20
    assert found["memory"]["fits"] is True
    assert found["energy_per_token"] > 0
    assert found["problems"] == []


def test_a_roofline_is_never_beaten():
    """Reading the weights once at full bandwidth, and calculating at full rate, take at least as long as is predicted."""
    found = told("llama-3-8b", "h100", "--prompt-tokens", 2048)

    assert found["time_per_token"]["value"] > 2 * (LLAMA - 128256 * 4096) / found["device"]["bandwidth"]
    assert found["time_to_first_token"]["value"] > 2 * 2048 * (LLAMA - 2 * 128256 * 4096) / found["device"]["peak"]["bfloat16"]


def test_the_command_that_is_told_gives_the_same_again():
    """What was filled in is written out."""
    found = told("llama-3.1-70b", "a100", "--devices", 8, "--quant", "awq", "--kv", "fp8")
    again = json.loads(run(*found["command"].split()[3:], "--json").stdout)

    assert "--tp 8" in found["command"]
    assert again == found


def test_words_say_what_json_says():
    """The text has the times, memory, and the command."""
    output = run("predict", "llama-3-8b", "rtx 4090", "--quant", "q4_k_m").stdout

    for part in (
        "time to first token",
        "time per token",
        "tokens/s",
        "memory",
        "fits",
        "energy",
        "llama.cpp",
        "python -m profiler predict",
    ):
        assert part in output, part


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lama-3-8b", "h100"], "Did you mean llama-3-8b"),
        (["llama-3-8b", "h1000"], "Did you mean h100"),
        (["llama-3-8b", "zzzz"], "profiler devices"),
        (["llama-3-8b", "h100", "--engine", "wllm"], "vllm"),
        (["llama-3-8b", "h100", "--quant", "q4_k_n"], "q4_k_m"),
        (["llama-3-8b", "h100", "--kv", "fp88"], "Did you mean"),
        (["llama-3-8b", "h100", "--dtype", "int4"], "A dtype is float32, bfloat16 or float16"),
        (["llama-3-8b", "h100", "--batch", "0"], "batch must be 1 to"),
        (["llama-3-8b", "h100", "--new-tokens", "-5"], "new tokens must be 1 to"),
        (["llama-3-8b", "h100", "--tp", "0"], "tensor must be 1 to"),
        (["llama-3-8b", "h100", "--tp", "100000"], "tensor"),
        (["llama-3-8b", "gaudi"], "No source tells how fast"),
        (["", "h100"], "No model was named"),
    ],
)
def test_what_cannot_be_predicted_is_one_sentence_and_exit_code_2(words, said):
    """Unknown names come with the nearest ones."""
    result = run("predict", *words, "--json")

    assert result.exit_code == 2
    assert said in json.loads(result.stdout)["reason"]
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["llama-3.1-70b", "h100"], "It needs 14"),
        (["llama-3-8b", "h100", "--tp", 3], "Tensor parallelism of 3 does not divide the 32 attention heads"),
        (["llama-3-8b", "h100", "--prompt-tokens", 100_000], "100,128 tokens are more than the 8,192"),
        (["llama-3-8b", "h100", "--devices", 2, "--tp", 4], "A group of tensor 4 needs 4 devices, but 2 are there"),
        (["llama-3-8b", "h100", "--devices", 6, "--tp", 4], "6 devices cannot be shared by groups of 4"),
        (["llama-3-8b", "h100", "--ep", 8], "has no experts"),
    ],
)
def test_the_impossible_is_said_with_numbers_and_the_rest_is_shown(words, said):
    """Exit code 0: times are those of a device with room."""
    found = told(*words)

    assert any(said in problem for problem in found["problems"]), found["problems"]
    assert found["time_per_token"]["value"] > 0


def test_how_many_devices_would_hold_a_model_is_said():
    """141 GB of weights do not fit one device of 85 GB, but two."""
    assert "2 of them hold it (--devices 2 --tp 2)." in told("llama-3.1-70b", "h100")["notes"]


def test_devices_share_a_model_as_their_number_allows():
    """28 heads cannot be shared by 8: four devices share them, twice."""
    setup = told("qwen2.5-7b", "h100", "--devices", 8, "--engine", "vllm")["setup"]

    assert (setup["tensor"], setup["replicas"]) == (4, 2)


def test_an_encoder_only_reads():
    """There is no time per token."""
    found = told("bert-base", "h100")

    assert "time_per_token" not in found
    assert found["reading_rate"]["value"] == pytest.approx(512 / found["time_to_read"]["value"])
    assert "tokens per" not in run("predict", "bert-base", "h100").stdout


def test_a_hub_model_that_cannot_be_fetched_is_taken_from_the_catalogue(monkeypatch):
    """By the last part of its id, and this is said; an id that is not in the catalogue either is refused."""

    def nothing(id):
        raise ValueError(f"{id} cannot be had.")

    monkeypatch.setattr(hub, "config_file", nothing)
    found = told("somebody/Llama-3-8B-Instruct", "h100")

    assert found["model"]["parameters"] == LLAMA
    assert found["notes"][0] == "somebody/Llama-3-8B-Instruct cannot be fetched; Llama-3 8B of the catalogue is taken instead."
    assert run("predict", "somebody/some-model", "h100").exit_code == 2


def test_any_config_json_is_a_model(tiny_folder, tmp_path):
    """Named itself or by its folder, with weights or without."""
    config = tmp_path / "bare" / "config.json"
    config.parent.mkdir()
    config.write_text((tiny_folder / "config.json").read_text("utf-8"), "utf-8")
    counts = {told(name, "h100")["model"]["parameters"] for name in (config, config.parent, tiny_folder)}

    assert counts == {256 * 64 + 2 * (64 * 64 * 2 + 2 * 64 * 32 + 3 * 64 * 128 + 2 * 64) + 64}


def test_this_machine_is_predicted_from_what_was_measured_on_it(monkeypatch):
    """A library that reads weights at 10 GB/s takes longer than its roof of 20 GB/s would; before it was measured, nothing is said."""
    words = ("smollm2-135m", "here", "--dtype", "float32", "--prompt-tokens", 128, "--new-tokens", 32)
    unmeasured = run("predict", *words)
    monkeypatch.setattr("profiler.cli_here.Jobs.ceilings", lambda self, spec: ceilings(kernels=kernels()))
    found = told(*words)

    assert (unmeasured.exit_code, "python -m profiler ceilings --dtype float32" in unmeasured.stderr) == (2, True)
    assert found["origin"] == "measured here"
    assert found["time_per_token"]["value"] > found["least"]["decode"] > 0
    assert sum(found["spent"]["decode"].values()) == pytest.approx(found["time_per_token"]["value"])
    assert found["command"] == "python -m profiler predict smollm2-135m here --dtype float32 --prompt-tokens 128 --new-tokens 32 --batch 1"
    assert run("predict", *words, "--tp", 2).exit_code == 2


def test_where_kernels_are_not_known_only_the_bound_is_told(monkeypatch):
    """Ceilings alone give the least time that physics needs."""
    monkeypatch.setattr("profiler.cli_here.Jobs.ceilings", lambda self, spec: ceilings())
    found = told("smollm2-135m", "here", "--dtype", "float32")

    assert "time_per_token" not in found
    assert found["least"]["decode"] > 0
    assert any("nothing but that bound is known" in note for note in found["notes"])


def test_copies_side_by_side_are_repeated_as_such():
    """Two devices that do not share a model stay apart in the command that repeats it."""
    found = told("llama-3-8b", "h100", "--devices", 2, "--tp", 1)

    assert found["setup"]["replicas"] == 2
    assert "--devices 2 --tp 1" in found["command"]


def test_devices_are_listed():
    """All of the catalogue, as words and as JSON."""
    assert "h100-sxm" in run("devices").stdout
    assert len(json.loads(run("devices", "--json").stdout)["devices"]) >= 120


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1,2,4", [1, 2, 4]),
        ("1:1024:x2", [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]),
        ("8:32:8", [8, 16, 24, 32]),
        ("3:5", [3, 4, 5]),
        ("1, 2:9:x3 ,2", [1, 2, 6]),
    ],
)
def test_ranges(text, found):
    """Single numbers, sums and products, each number once."""
    assert numbers(text, "batches") == found


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "a", "1:0:x2", "5:1", "1:8:x1", "1:8:0", "1:8:2:3", "1:1000000000", "1.5", "1:8:xx2", "x2"]
)
def test_bad_ranges_are_one_sentence(text):
    """Nothing is calculated."""
    result = run("sweep", "--models", "llama-3-8b", "--devices", "h100", "--batches", text)

    assert result.exit_code == 2
    assert "in batches" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--models", "lama-3-8b", "--devices", "h100"], "Did you mean llama-3-8b"),
        (["--models", "llama-3-8b", "--devices", "h1000"], "Did you mean h100"),
        (["--models", "bert-base", "--devices", "h100"], "No model that writes tokens was named"),
        (["--models", "llama-3-8b", "--devices", ","], "No device was named"),
        (["--models", "llama-3-8b", "--devices", "h100", "--quants", "zzzzzz"], "No number format is called 'zzzzzz'"),
        (["--models", "llama-3-8b", "--devices", "h100", "--best", "beauty"], "Rows can be best in"),
        (["--models", "llama-3-8b", "--devices", "h100", "--out", "table.xlsx"], "neither a .csv nor a .parquet"),
        (["--models", "llama-3-8b", "--devices", "h100", "--out", "no/folder/a.csv"], "there is no folder"),
        (["--models", "t5-base", "--devices", "t4", "--contexts", "4096"], "The one configuration is longer than its model was made for"),
        (["--models", "llama-3-8b", "--devices", "h100", "--tp", "3"], "--tp 3 does not divide the 32 attention heads"),
        (["--models", "llama-3.1-405b", "--devices", "t4"], "The one configuration is too large for its devices"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused(words, said):
    """In one sentence, before anything is calculated where that can be known."""
    result = run("sweep", *words)

    assert result.exit_code == 2
    assert said in result.stderr


def test_a_sweep_writes_every_configuration(tmp_path):
    """CSV and Parquet hold the same rows: each the prediction of its configuration."""
    files = tmp_path / "all.csv", tmp_path / "all.parquet"
    words = (
        "--models",
        "llama-3-8b,gpt2",
        "--devices",
        "h100,rtx 4090",
        "--quants",
        "none,int4",
        "--batches",
        "1,8",
        "--contexts",
        "64:256:x2",
    )
    for file in files:
        assert run("sweep", *words, "--engine", "vllm", "--new-tokens", 32, "--out", file).exit_code == 0
    rows = list(csv.DictReader(files[0].read_text("utf-8").splitlines()))
    table = parquet.read_table(files[1])

    assert len(rows) == table.num_rows == 2 * 2 * 2 * 2 * 3
    assert [float(row["time_per_token"]) for row in rows] == pytest.approx(table["time_per_token"].to_pylist())
    assert sorted(tmp_path.iterdir()) == sorted(files)
    row = rows[-1]
    asked = ("--batch", row["batch"], "--prompt-tokens", row["prompt_tokens"], "--new-tokens", row["new_tokens"])
    one = told(row["model"], row["device"], "--engine", row["engine"], "--quant", row["weights"], *asked)
    assert float(row["time_per_token"]) == pytest.approx(one["time_per_token"]["value"])
    assert float(row["memory"]) == pytest.approx(one["memory"]["total"])


def test_the_best_are_shown_without_a_file():
    """One row for each model, device and format that fits, the fastest first; 70B in bfloat16 fits neither."""
    output = run("sweep", "--models", "llama-3-8b,llama-3.1-70b", "--devices", "t4,h100", "--batches", "1:64:x2", "--engine", "vllm").stdout
    lines = [line.split()[:2] for line in output.splitlines() if "llama" in line]

    assert lines == [["llama-3-8b", "h100-sxm"]]


def test_validate_tells_every_row(tmp_path):
    """JSON has the prediction and error of each; the text has sources, phases, means, coverage and reasons."""
    header = "source_id,model,quant,hardware,num_devices,phase,batch,prompt_len,gen_len,metric,value,unit,software"
    rows = [
        "a,Llama-3-8B,bf16,NVIDIA H100 SXM,1,decode,1,128,128,tokens_per_s,150,tok/s,vllm",
        "b,What,bf16,H100,1,prefill,1,9,0,x,1,s,vllm",
    ]
    file = tmp_path / "table.csv"
    file.write_text("\n".join([header, *rows]), "utf-8")
    found = json.loads(run("validate", file, "--json").stdout)
    text = run("validate", file).stdout

    assert [row["reason"] for row in found["rows"]] == ["", "unknown model 'What'"]
    assert found["rows"][0]["error"] == pytest.approx(150 / found["rows"][0]["predicted"] - 1)
    assert found["coverage"] == 0.5
    for part in ("mean over 1 source", "Covered: 1 of 2 rows (50 %)", "not covered, 1 row: unknown model 'What'"):
        assert part in text, part


def test_validate_alone_takes_the_tables_that_came_along():
    """Three of them, wholly covered but for 5 % at most."""
    found = json.loads(run("validate", "--json").stdout)["tables"]

    assert list(found) == ["inference", "training", "memory"]
    assert all(table["coverage"] >= 0.95 for table in found.values())


def test_validate_refuses_what_is_no_table(tmp_path):
    """In one sentence and with exit code 2."""
    result = run("validate", tmp_path, "--json")

    assert result.exit_code == 2
    assert json.loads(result.stdout)["reason"] == f"{tmp_path} is a folder; name a CSV file."
