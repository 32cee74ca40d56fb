"""The page Hardware without a browser: everything at once, everything in the address, every mistake in one sentence."""

import pytest
from streamlit.testing.v1 import AppTest

from pages._hardware_form import shape
from pages._hardware_more import described
from pages._hardware_prices import parsed, written
from profiler.record.process import ROOT
from profiler.record.store import Store
from tests.builders import generate_run

FIGURES = ["A token", "It goes", "Speed against", "Roofline of", "Heat map", "What twice"]


@pytest.fixture
def page(app, monkeypatch):
    """The page alone, as its address has it."""

    def opened(**query):
        at = AppTest.from_file(str(ROOT / "pages" / "hardware.py"), default_timeout=60)
        for name, value in query.items():
            at.query_params[name] = value
        at.run()
        assert not at.exception
        return at

    return opened


def alts(at) -> list[str]:
    return [chart.proto.alt for chart in at.get("plotly_chart")]


def table(at):
    return at.dataframe[-1].value


def test_at_first_sight_all_devices_and_all_figures_are_there(page):
    """No empty box: finding, four cards, six figures with words for those who cannot see them, one table of all devices."""
    at = page()

    assert "devices hold Llama-3.1 8B; the " in at.subheader[0].value
    assert [metric.label for metric in at.metric] == ["Hold it", "Fastest", "Least energy", "Cheapest"]
    assert [alt[: len(begin)] for alt, begin in zip(alts(at), FIGURES)] == FIGURES
    assert len(table(at)) > 300
    assert {"calibrated", "transferred", "data sheet"} >= set(table(at)["origin"])


def test_it_stands_in_the_navigation(app):
    """One of the pages of the app."""
    at = app.run().switch_page("pages/hardware.py").run()

    assert not at.exception
    assert at.header[0].value == "Which hardware would make this model fast, and what would it cost?"


def test_the_address_opens_the_same_question(page):
    """Model, workload, format, software, and devices to compare; a number that no slider step has is kept."""
    at = page(
        model="qwen3-8b",
        prompt_tokens="1000",
        batch="4",
        format="awq",
        devices="2",
        compare=["h100", "RTX 4090"],
        phase="Reading the prompt",
    )

    assert "devices (× 2) hold Qwen3 8B" in at.subheader[0].value
    assert next(one for one in at.select_slider if one.key == "prompt_tokens").value == 1000
    assert alts(at)[0].startswith("The first token takes")
    assert alts(at)[0].endswith("on the GeForce RTX 4090")


def test_a_slider_changes_the_prediction(page):
    """A longer prompt, a later first token."""
    at = page()
    before = table(at).set_index("device")["first"]
    next(one for one in at.select_slider if one.key == "prompt_tokens").set_value(4096).run()
    after = table(at).set_index("device")["first"]

    assert after["H100 SXM 80 GB"] > 4 * before["H100 SXM 80 GB"]


def test_presets_fill_the_workload(page):
    """Many users: 64 sequences of 1024 + 256 tokens."""
    at = page()
    at.get("button_group")[0].set_value("Many users (64 × 1024 + 256)").run()

    assert {one.key: one.value for one in at.select_slider} == {"prompt_tokens": 1024, "new_tokens": 256, "batch": 64}


def test_what_no_device_holds_is_shown_with_its_numbers(page):
    """How much it needs, how many devices would do, and every figure as if there were room."""
    at = page(model="deepseek-v3")

    assert at.subheader[0].value.startswith("No device holds DeepSeek-V3 671B, which needs 1.34 TB")
    assert at.metric[1].value == "–"
    assert len(alts(at)) == 6
    assert table(at)["first"].isna().all()
    assert table(at)["needed"].min() == 2


def test_impossible_set_ups_are_one_sentence_with_numbers(page):
    """Three devices and 32 heads; more tokens than the model was made for."""
    at = page(devices="3", split="tensor parallel", prompt_tokens="262144")

    said = [warning.value for warning in at.warning]
    assert any("3 does not divide the 32 attention heads" in sentence for sentence in said)
    assert any("more than the 131,072" in sentence for sentence in said)
    assert len(alts(at)) == 6


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"model": "llama-3.1-9b"}, "Did you mean"),
        ({"format": "int5x"}, "No number format is called 'int5x'"),
        ({"compare": ["RTX 9090 Ultra"]}, "No device is called 'RTX 9090 Ultra'"),
        ({"compare": ["Snapdragon 8 Gen 3 NPU"]}, "No source says how fast"),
        ({"prices": "h100-sxm:cheap"}, "The price of h100-sxm is 'cheap'; it must be a number above 0, per hour."),
        ({"prices": "nonsense:2"}, "names no device"),
        ({"since": "2040"}, "No device passes the filters"),
    ],
)
def test_a_mistake_is_one_clear_sentence(page, query, words):
    """What is wrong, and what would be right."""
    said = [error.value for error in page(**query).error]

    assert len(said) == 1
    assert words in said[0]


def test_prices_give_costs(page):
    """The cheapest card, the column, and cost first among what speed is set against."""
    at = page(prices="h100-sxm:2.5,rtx-4090:0.4")

    assert at.metric[3].value.endswith("per million")
    assert table(at)["cost"].notna().sum() == 2
    assert any(alt.startswith("Speed against cost") for alt in alts(at))
    assert at.query_params["prices"] == "h100-sxm:2.5,rtx-4090:0.4"


def test_prices_are_written_as_they_are_read():
    """One text for the address; bad parts are told, good ones kept."""
    found, bad = parsed("rtx-4090:0.4,h100:2.5,t4:-1,t4:nan,own:3", {"own"})

    assert found == {"rtx-4090": 0.4, "h100-sxm": 2.5, "own": 3.0}
    assert len(bad) == 2
    assert parsed(written(found), {"own"}) == (found, [])


def test_a_device_of_ones_own_stands_among_the_others(page):
    """Marked with a star in table and figures, wherever it lands."""
    own = {"own": "My <b>chip", "own_memory": "64", "own_bandwidth": "2000", "own_bfloat16": "400", "own_power": "200"}
    at = page(**own)

    assert "★ My bchip" in set(table(at)["device"])
    assert not at.error
    assert "appears among the others once its bandwidth is given" in page(**own | {"own_bandwidth": "0"}).info[0].value


def test_an_own_device_is_in_base_units():
    """GB, GB/s and TFLOP/s become bytes, bytes/s and FLOP/s; formats without a rate are absent."""
    made = described("mine", 24, 1000, 0, "nvidia-gddr", {"float32": 80, "bfloat16": 160, "float8": 0})

    assert (made.memory, made.bandwidth, made.power) == (24e9, 1e12, None)
    assert made.peak == {"float32": 80e12, "bfloat16": 160e12, "float16": 160e12}


def test_filters_narrow_the_fleet(page):
    """Only what passes is counted and listed."""
    found = table(page(vendor=["Apple"], least="64"))

    assert 0 < len(found) < 40
    assert found["device"].str.startswith("Apple").all()
    assert found["memory"].min() >= 64


def test_speed_is_set_against_what_is_known(page):
    """Not against energy where no power limit is known."""
    at = page(vendor=["Apple"], engine="MLX")

    assert any(one.startswith("Speed against bandwidth: ") for one in alts(at))


def test_an_encoder_is_shown_without_what_it_does_not_do(page):
    """No time per token, no energy per token; texts a second instead."""
    at = page(model="bert-base", prompt_tokens="256")

    assert "per batch of texts" in at.subheader[0].value
    assert alts(at)[0].startswith("A batch of texts takes")
    assert at.metric[2].value == "–"


def test_this_machines_run_is_a_point_beside_its_prediction(page):
    """The newest run of the same model: measured, and what its ceilings allow."""
    run = generate_run()
    store = Store()
    id = store.add(run.spec)
    store.append(id, list(run.events))
    store.set_status(id, "finished")
    at = page(model="smollm2-135m")

    assert any("This machine, measured" in caption.value and "50.0 ms" in caption.value for caption in at.caption)
    assert table(at)["origin"].iloc[0] == "measured here"
    assert "measured here" in at.get("plotly_chart")[0].proto.spec
    assert "measured here" not in page(model="llama-3.1-8b").get("plotly_chart")[0].proto.spec


def test_a_configuration_alone_is_a_model(tmp_path):
    """A config.json, or its folder without any weights."""
    file = tmp_path / "config.json"
    file.write_text(
        '{"model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, '
        '"vocab_size": 256, "max_position_embeddings": 512}'
    )

    assert shape(str(file)).hidden == shape(str(tmp_path)).hidden == 64
    with pytest.raises(ValueError, match="Did you mean"):
        shape("llama-3.1-8bb")
