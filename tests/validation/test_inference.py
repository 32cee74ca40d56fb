"""Rows of inference tables as questions, and how well the published ones are answered."""

import pytest

from profiler.theory.rates import rates
from profiler.theory.serving import largest_batch
from profiler.theory.step import active_parameters, parameters
from profiler.validation.inference import answer, case_of, predict_row, value_seconds
from profiler.validation.report import left_out, summary
from profiler.validation.tables import judged, published


def row(**cells):
    """Four sequences of Llama-3-8B on one H100, 128 tokens read and 64 written."""
    usual = {
        "model": "Llama-3-8B",
        "params_b": "8.03",
        "active_b": "",
        "quant": "bf16",
        "hardware": "NVIDIA H100 SXM",
        "num_devices": "1",
        "parallelism": "",
        "phase": "end-to-end",
        "batch": "4",
        "prompt_len": "128",
        "gen_len": "64",
        "metric": "output_tokens_per_s",
        "unit": "tok/s",
        "software": "vLLM 0.6",
        "date": "2025-01",
    }
    return usual | cells


@pytest.fixture(scope="module")
def report():
    return summary("inference", judged(published("inference")), left_out("inference"))


def test_every_published_row_is_covered(report):
    """All 1,493; at least 95 % of any table were promised."""
    assert report.all.rows == 1493
    assert report.coverage >= 0.95, report.reasons


GATES = {"decode": (0.07, 0.15), "prefill": (0.145, 0.235), "end-to-end and serving": (0.18, 0.21)}


@pytest.mark.parametrize("name", GATES)
def test_the_published_rows_are_met(report, name):
    """The mean over sources of the median error stays where it was reached: fitted, and as the fit kept it of sources left out."""
    group = next(group for group in report.groups if group.name == name)

    assert group.all.error < GATES[name][0]
    assert group.left_out < GATES[name][1]
    assert abs(group.all.bias) < 0.12


def test_there_is_no_other_group(report):
    """Every phase is judged."""
    assert {group.name for group in report.groups} == set(GATES)


def test_the_measured_value_is_never_read():
    """Nor who measured it, nor what was said of it."""
    hidden = dict.fromkeys(("value", "row_id", "source_id", "source_ref", "quality", "flag", "notes"), "1e9")
    for given in published("inference").rows[::25]:
        assert predict_row(given | hidden) == predict_row(given)


def test_a_row_needs_no_measured_value_at_all():
    """The cell may be absent."""
    assert predict_row(row()) > 0


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        ({"phase": "decode", "metric": "tokens_per_s"}, 4 / 2),
        ({"phase": "decode", "metric": "tokens_per_s_per_user"}, 1 / 2),
        ({"phase": "decode", "metric": "tokens_per_s", "unit": "tok/s/user"}, 1 / 2),
        ({"phase": "decode", "metric": "tpot", "unit": "s"}, 2),
        ({"phase": "decode", "metric": "tpot", "unit": "ms"}, 2000),
        ({"phase": "decode", "metric": "tpot", "unit": "ms/token"}, 2000),
        ({"phase": "decode", "metric": "tpot", "unit": "us"}, 2e6),
        ({"phase": "prefill", "metric": "tokens_per_s"}, 4 * 128 / 2),
        ({"phase": "prefill", "metric": "ttft", "unit": "ms"}, 2000),
        ({"phase": "prefill", "metric": "ttft_mean", "unit": "s"}, 2),
        ({}, 4 * 64 / 2),
        ({"metric": "tokens_per_s_in_plus_out"}, 4 * (128 + 64) / 2),
        ({"metric": "total_tokens_per_s"}, 4 * (128 + 64) / 2),
        ({"metric": "requests_per_s", "unit": "requests/s"}, 4 / 2),
        ({"metric": "samples_per_s", "unit": "samples/s"}, 4 / 2),
        ({"phase": "serving"}, 4 * 64 / 2),
        ({"phase": "mlperf-Offline"}, 4 * 64 / 2),
        ({"phase": "mlperf-Server"}, 0.95 * 4 * 64 / 2),
        ({"phase": "mlperf-SingleStream", "metric": "latency_p90", "unit": "ms"}, 2000),
        ({"num_devices": "2", "parallelism": "TP2", "metric": "output_tokens_per_s_per_gpu", "unit": "tok/s/GPU"}, 4 * 64 / 2 / 2),
        ({"num_devices": "2", "parallelism": "TP2"}, 4 * 64 / 2),
        ({"num_devices": "4", "parallelism": "TP2"}, 2 * 4 * 64 / 2),
        ({"num_devices": "4", "parallelism": "TP2", "metric": "tokens_per_s_per_device", "unit": "tok/s/device"}, 4 * 64 / 2 / 2),
    ],
)
def test_two_seconds_in_the_rows_own_unit(cells, found):
    """By hand: 4 sequences, 128 tokens read, 64 written; a table's number back is two seconds."""
    case = case_of(row(**cells))

    assert answer(case, 2.0) == pytest.approx(found)
    assert value_seconds(case, found) == pytest.approx(2)


def test_every_published_number_is_seconds_and_back():
    """Whatever its unit."""
    for given in published("inference").rows[::10]:
        case, value = case_of(given), float(given["value"])
        assert answer(case, value_seconds(case, value)) == pytest.approx(value)


def test_units_of_one_step_agree():
    """Milliseconds are a thousand to the second; the rate of four sequences is four tokens a step; each user sees one."""
    step = predict_row(row(phase="decode", metric="tpot", unit="s"))

    assert predict_row(row(phase="decode", metric="tpot", unit="ms")) == pytest.approx(1000 * step)
    assert predict_row(row(phase="decode", metric="tokens_per_s")) == pytest.approx(4 / step)
    assert predict_row(row(phase="decode", metric="tokens_per_s_per_user")) == pytest.approx(1 / step)


def test_serving_reaches_a_part_of_a_full_batch():
    """What is fitted as continuous batching's share; requests at random a little less."""
    whole, served, server = (predict_row(row(phase=phase)) for phase in ("end-to-end", "serving", "mlperf-Server"))
    share = rates(case_of(row()).deployment).serving

    assert served == pytest.approx(share * whole)
    assert server == pytest.approx(0.95 * served)


def test_beams_are_work_that_does_not_count():
    """Four beams of each sequence are slower, by less than four, and the same 128 tokens are counted."""
    plain, searched = (row(gen_len=text) for text in ("128", "max 128, beam search 4"))

    assert (case_of(plain).beams, case_of(searched).beams) == (1, 4)
    assert case_of(plain).new == case_of(searched).new == 128
    assert predict_row(plain) / 4 < predict_row(searched) < 0.99 * predict_row(plain)


@pytest.mark.parametrize(
    ("text", "count", "found"),
    [
        ("TP8", "8", (8, 8, 1, 1)),
        ("TP4 PP2", "8", (8, 4, 2, 1)),
        ("TP2", "8", (8, 2, 1, 1)),
        ("TP8", "", (8, 8, 1, 1)),
        ("EP32 DP32", "32", (32, 1, 1, 32)),
        ("layer-split (llama.cpp default)", "4", (4, 1, 4, 1)),
        ("", "1", (1, 1, 1, 1)),
    ],
)
def test_the_split_over_devices_is_the_rows(text, count, found):
    """(devices, tensor, pipeline, expert)."""
    place = case_of(row(model="DeepSeek-V3", parallelism=text, num_devices=count)).deployment

    assert (place.devices, place.tensor, place.pipeline, place.expert) == found


def test_llama_cpp_splits_layers_when_nobody_says_otherwise():
    """Others work on each layer together, on as few devices as hold the model."""
    place = case_of(row(software="llama.cpp", num_devices="2")).deployment

    assert (place.tensor, place.pipeline) == (1, 2)


@pytest.mark.parametrize(("model", "quant", "tensor"), [("Llama-3-8B", "bf16", 1), ("Llama-3-70B", "bf16", 4), ("Llama-3-70B", "fp8", 2)])
def test_a_free_split_is_the_smallest_that_holds_the_model(model, quant, tensor):
    """Of eight H100: 16 GB on one, 141 GB on four, 72 GB on two; the rest are replicas."""
    place = case_of(row(model=model, quant=quant, num_devices="8", batch="", parallelism="submitter choice")).deployment

    assert (place.devices, place.tensor) == (8, tensor)


def test_cores_are_no_devices():
    """A source that counts 24 cores means its 12 chips."""
    place = case_of(
        row(hardware="AWS Inferentia2 (Inf2.48xlarge: 12 chips, 24 cores)", num_devices="12", parallelism="TP24 cores", software="Neuron")
    ).deployment

    assert (place.devices, place.tensor) == (12, 12)


def test_a_batch_of_all_replicas_is_shared_by_them():
    """64 sequences on four copies are 16 each, and together 64; per device they are the 16."""
    case = case_of(row(parallelism="TP1 DP4", num_devices="4", batch="64"))

    assert case.batch == 16
    assert answer(case, 2.0) == pytest.approx(64 * 64 / 2)


def test_a_batch_that_nobody_states_is_the_largest_that_fits():
    """Where many requests are served; one, where a step is measured."""
    case = case_of(row(phase="mlperf-Offline", batch="submitter-tuned"))

    assert case.batch == largest_batch(case.model, case.deployment, 128 + 64)
    assert case_of(row(phase="decode", batch="")).batch == 1


@pytest.mark.parametrize(
    ("hardware", "engine"),
    [("NVIDIA H100 SXM", "compiled"), ("NVIDIA RTX 4090", "llama.cpp"), ("Apple M2 Ultra", "llama.cpp"), ("Google TPU v5e", "compiled")],
)
def test_unknown_software_is_taken_for_what_is_usual_there(hardware, engine):
    """Compiled in data centres, llama.cpp at home."""
    assert case_of(row(hardware=hardware, software="Somebody's server 3.1")).deployment.engine == engine


@pytest.mark.parametrize(
    ("date", "engine"), [("2024-05", "llama.cpp-2024"), ("2024-08", "llama.cpp"), ("2025-10", "llama.cpp"), ("", "llama.cpp")]
)
def test_llama_cpp_was_another_program_before_the_summer_of_2024(date, engine):
    """Told by the row's date; no date is today."""
    assert case_of(row(software="llama.cpp llama-bench", date=date)).deployment.engine == engine


@pytest.mark.parametrize(
    ("software", "flash"), [("llama-bench CUDA FA on", True), ("llama-bench CUDA FA off commit 8cf6b42", False), ("llama-bench", None)]
)
def test_flash_attention_is_on_or_off_where_it_is_said(software, flash):
    """Else as the engine does it."""
    assert case_of(row(software=software)).deployment.flash is flash


def test_number_formats_are_the_rows():
    """Without a word it is the device's 16-bit format; TensorRT-LLM keeps a float8 model's cache in float8."""
    assert case_of(row(quant="Q4_K_M")).deployment.precision.weights == "q4_k_m"
    assert case_of(row(quant="")).deployment.precision.weights == "bfloat16"
    assert case_of(row(quant="", hardware="NVIDIA V100 SXM2 32GB")).deployment.precision.weights == "float16"
    assert case_of(row(quant="fp8", software="TensorRT-LLM")).deployment.precision.kv == "float8"
    assert case_of(row(quant="fp8")).deployment.precision.kv == "bfloat16"


def test_an_unknown_model_is_a_decoder_of_its_size():
    """Of 13 billion parameters, and like others of that size."""
    model = case_of(row(model="Somebody's 13B", params_b="13.0")).model
    known, unknown = (
        predict_row(row(model=name, params_b="13.0", phase="decode", batch="1")) for name in ("Llama-2-13B", "Somebody's 13B")
    )

    assert parameters(model) == pytest.approx(13e9, rel=0.05)
    assert unknown == pytest.approx(known, rel=0.1)


def test_an_unknown_mixture_is_as_large_and_as_active_as_it_says():
    """47 billion, 13 of which work on a token."""
    model = case_of(row(model="Somebody's 8x7B", params_b="46.7", active_b="12.9")).model

    assert model.moe
    assert parameters(model) == pytest.approx(46.7e9, rel=0.1)
    assert active_parameters(model) == pytest.approx(12.9e9, rel=0.1)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"hardware": "Abacus 3000"}, "unknown device 'Abacus 3000'"),
        ({"model": "Somebody's 13B", "params_b": ""}, 'unknown model "Somebody\'s 13B"'),
        ({"quant": "q77"}, "No number format is called 'q77'"),
    ],
)
def test_what_cannot_be_resolved_is_named(cells, said):
    """As a ValueError with the cell's text."""
    with pytest.raises(ValueError, match=said):
        predict_row(row(**cells))


def test_constants_of_ones_own_are_used():
    """Memory at half its usual rate is slower."""
    fast, slow = (predict_row(row(phase="decode"), constants) for constants in ({}, {"bandwidth": -0.7, "cache": -0.7}))

    assert slow < 0.7 * fast
