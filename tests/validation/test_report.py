"""A published table beside predictions: read, told apart, never peeked at, and summed up."""

import csv
import io
import subprocess
import sys
from dataclasses import replace

import pytest

from profiler.validation.report import figures, summary
from profiler.validation.tables import KINDS, Judged, is_time, judged, published, read

INFERENCE = {
    "model": "Llama-3-8B",
    "quant": "bf16",
    "hardware": "NVIDIA H100 SXM",
    "num_devices": "1",
    "phase": "decode",
    "batch": "1",
    "prompt_len": "128",
    "gen_len": "128",
    "metric": "tokens_per_s",
    "value": "100",
    "unit": "tok/s",
    "software": "vllm",
}


def written(folder, rows, header=None):
    """A CSV file of these rows."""
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(header or rows[0])
    lines.writerows(row.values() if isinstance(row, dict) else row for row in rows)
    file = folder / "table.csv"
    file.write_text(text.getvalue(), "utf-8")
    return file


def made(error=None, source="a", phase="decode", flag="", reason=""):
    """A judged row by hand."""
    return Judged("1", source, phase, flag, "m", "h", "tokens_per_s", "tok/s", 1.0, None if error is None else 1.0, error, reason)


@pytest.mark.parametrize("name", KINDS)
def test_a_table_is_told_apart_by_its_header(name):
    """Each of the three published tables is taken for what it is, and all its rows are there."""
    table = published(name)

    assert table.kind.name == name
    assert len(table.rows) == {"inference": 1493, "training": 287, "memory": 131}[name]


@pytest.mark.parametrize("name", KINDS)
def test_the_measured_value_is_never_read(name):
    """Other numbers in every measured cell leave every prediction as it was."""
    table = published(name)
    rows = table.rows[::7]
    other = tuple(row | dict.fromkeys(("value", "mfu_pct", "tflops_per_dev"), "12345.678") for row in rows)
    plain, changed = (judged(replace(table, rows=each, faults=("",) * len(each))) for each in (rows, other))

    assert [row.predicted for row in plain] == [row.predicted for row in changed]
    assert [row.error for row in plain] != [row.error for row in changed]


def test_a_predictor_is_given_a_row_without_measured_cells():
    """Whatever a predictor does, the number is not there."""
    seen = []
    table = published("training")
    kind = replace(table.kind, predict=lambda row: seen.append(row) or 1.0)
    judged(replace(table, kind=kind, rows=table.rows[:1], faults=("",)))

    assert (seen[0]["value"], seen[0]["mfu_pct"], seen[0]["tflops_per_dev"]) == ("", "", "")


def test_an_extra_column_changes_nothing(tmp_path):
    """Columns that are not known are ignored."""
    plain = judged(read(written(tmp_path, [INFERENCE])))
    extra = judged(read(written(tmp_path, [INFERENCE | {"colour": "red", "workload": "x"}])))

    assert plain == extra
    assert plain[0].source == "one source"


@pytest.mark.parametrize("column", ["model", "value", "prompt_len", "software"])
def test_a_missing_column_is_named(tmp_path, column):
    """A table that lacks what every row needs is refused with the column's name."""
    rows = [{name: cell for name, cell in INFERENCE.items() if name != column}]

    with pytest.raises(ValueError, match=f"table of inference, but lacks the column {column}"):
        read(written(tmp_path, rows))


def test_errors_are_of_time_whatever_is_reported(tmp_path):
    """A rate half of the predicted one is a time twice as long: the prediction is 50 % too fast. A latency says the same directly."""
    rate = judged(read(written(tmp_path, [INFERENCE])))[0].predicted
    time = judged(read(written(tmp_path, [INFERENCE | {"metric": "latency", "unit": "ms"}])))[0].predicted
    rows = [INFERENCE | {"value": str(rate / 2)}, INFERENCE | {"metric": "latency", "unit": "ms", "value": str(2 * time)}]

    assert [row.error for row in judged(read(written(tmp_path, rows)))] == pytest.approx([-0.5, -0.5])
    assert time == pytest.approx(1000 / rate)  # at a batch of one, one token's milliseconds


@pytest.mark.parametrize(
    ("metric", "unit", "time"),
    [
        ("tokens_per_s", "tok/s", False),
        ("ttft", "ms", True),
        ("iteration_time", "s", True),
        ("tflops_per_device", "TFLOP/s/chip", False),
        ("tokens_per_s_total", "tok/s (8 GPUs)", False),
        ("mfu", "%", False),
        ("ms_per_iter", "", True),
        ("time_per_step", "s/iter", True),
    ],
)
def test_times_and_rates_are_told_apart(metric, unit, time):
    """By the unit, and without one by the metric's name."""
    assert is_time({"metric": metric, "unit": unit}) is time


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model": "Nonsense-9000B"}, "unknown model 'Nonsense-9000B'"),
        ({"hardware": "abacus"}, "unknown device 'abacus'"),
        ({"value": "fast"}, "the measured value 'fast' is not a positive number"),
        ({"value": "nan"}, "the measured value 'nan' is not a positive number"),
        ({"value": "-3"}, "the measured value '-3' is not a positive number"),
        ({"value": ""}, "the measured value '' is not a positive number"),
        ({"batch": "-1"}, "batch is -1; a number above 0 is needed"),
        ({"prompt_len": "-1"}, "prompt_len is -1; a number from 0 is needed"),
        ({"num_devices": "0"}, "num_devices is 0; a number above 0 is needed"),
        ({"quant": "q77"}, "No number format is called 'q77'"),
    ],
)
def test_a_row_that_cannot_be_predicted_is_counted_with_its_reason(tmp_path, change, reason):
    """It is neither dropped nor guessed."""
    rows = judged(read(written(tmp_path, [INFERENCE, INFERENCE | change])))
    found = summary("inference", rows)

    assert (found.all.rows, found.all.covered, found.coverage) == (2, 1, 0.5)
    assert [text.startswith(reason) for text in found.reasons] == [True]


def test_lines_with_too_few_or_too_many_cells_are_not_covered(tmp_path):
    """Nobody can know which cell is which."""
    cells = list(INFERENCE.values())
    rows = judged(read(written(tmp_path, [cells[:-1], [*cells, "more"]], header=list(INFERENCE))))

    assert [row.reason for row in rows] == ["the line ends before its cell of software", "the line has 13 cells, the header 12"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"a,b,c\n1,2,3\n", "header of no table that is known"),
        (",".join(INFERENCE).encode(), "has a header, but no rows"),
        (b"model,quant\xff\n", "is not UTF-8 text"),
        (b"\x00\x01\x02", "header of no table that is known"),
        (",".join([*INFERENCE, "model"]).encode() + b"\n", "has the column model twice"),
        (",".join(INFERENCE).encode() + b'\n"open', "is no table of comma-separated values: line 2"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_one_sentence(tmp_path, content, said):
    """Empty, foreign, without rows, in another encoding, broken."""
    file = tmp_path / "table.csv"
    file.write_bytes(content)

    with pytest.raises(ValueError, match=said):
        read(file)


def test_a_folder_and_a_missing_file_are_refused(tmp_path):
    """Each is called what it is."""
    with pytest.raises(ValueError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(ValueError, match="There is no file"):
        read(tmp_path / "nothing.csv")


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    """As spreadsheets write it."""
    file = written(tmp_path, [INFERENCE])
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())

    assert read(file).kind.name == "inference"


def test_medians_by_hand():
    """Of the errors +10 %, −30 % and +20 %, the median size is 20 % and the median 10 %."""
    found = figures([made(0.1), made(-0.3), made(0.2), made(reason="unknown")])

    assert (found.rows, found.covered, found.error, found.bias) == (4, 3, 0.2, 0.1)


def test_every_source_weighs_the_same():
    """Two rows of one source at 10 % and one of another at 30 % make 20 %, over all phases of the group."""
    rows = [made(0.1), made(-0.1), made(0.3, "b"), made(0.5, "b", "mlperf-offline"), made(0.7, "b", "end-to-end")]
    groups = {group.name: group for group in summary("inference", rows).groups}

    assert groups["decode"].all.error == pytest.approx(0.2)
    assert groups["decode"].sources == 2
    assert groups["end-to-end and serving"].all.error == pytest.approx(0.6)


def test_flagged_rows_are_counted_and_shown_apart():
    """All rows, and of these the unflagged ones."""
    line = summary("inference", [made(0.1), made(0.9, flag="suspicious"), made(0.5, flag="suspicious")]).lines[0]

    assert (line.all.rows, line.all.error) == (3, 0.5)
    assert (line.unflagged.rows, line.unflagged.error) == (1, 0.1)


def test_figures_of_left_out_sources_are_shown_as_the_fit_kept_them():
    """By source and phase; over sources as a mean, a source's phases weighing by their rows."""
    rows = [made(0.1), made(0.1, "b", "serving"), made(0.1, "b", "end-to-end")]
    found = summary("inference", rows, {"a": {"decode": [0.2, 1]}, "b": {"serving": [0.4, 3], "end-to-end": [0.8, 1]}})

    assert [(line.source, line.phase, line.left_out) for line in found.lines] == [
        ("a", "decode", 0.2),
        ("b", "end-to-end", 0.8),
        ("b", "serving", 0.4),
    ]
    assert {group.name: group.left_out for group in found.groups} == pytest.approx({"decode": 0.2, "end-to-end and serving": 0.5})


def test_validating_needs_neither_torch_nor_scipy():
    """What reads and predicts tables imports light modules alone."""
    code = "import sys, profiler.validation.report; print({'torch', 'scipy', 'streamlit', 'transformers'} & set(sys.modules))"

    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "set()"
