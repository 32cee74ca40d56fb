import pytest

from profiler.catalog.config import from_hf_config
from profiler.catalog.families import FAMILIES
from profiler.catalog.variants import VARIANTS
from profiler.spec.model import Attention, LinearAttention, StateSpace
from profiler.theory.step import active_parameters, parameters
from tests.families import SMALL, built, counted, small


def spec(config: dict):
    return from_hf_config(config, name="Test", reference="test", origin="random")


def outcome(config: dict) -> str:
    """How many parameters there are, or why that is not known."""
    try:
        return str(parameters(spec(config)))
    except ValueError as error:
        return str(error)


def kinds(config: dict) -> dict:
    """What the layers are made of → how many of them."""
    return {tuple(type(mixer) for mixer in block.mixers): block.repeat for block in spec(config).blocks}


@pytest.mark.parametrize("name", SMALL)
def test_parameters_of_a_small_model_equal_transformers(name):
    """Of every family, to the last parameter, from the few fields that are set and from all that transformers writes."""
    model = built(small(name))

    assert parameters(spec(small(name))) == parameters(spec(model.config.to_dict())) == counted(model)
    assert not spec(small(name)).assumed


def test_every_family_that_transformers_builds_has_a_small_model():
    """A row without a test is a guess."""
    rows = {name for name, row in FAMILIES.items() if row.buildable} | (set(VARIANTS) - {"chatglm", "qwen"})

    assert rows - {name.split(".")[0] for name in SMALL} == {"ministral"}  # whose class transformers cannot make from its own defaults


def test_an_unknown_family_is_taken_for_a_llama():
    """And says so."""
    told = spec(small("llama", model_type="brand_new"))

    assert told.assumed
    assert parameters(told) == parameters(spec(small("llama")))


def test_an_unknown_encoder_is_taken_for_a_bert():
    """Whose architecture says that it fills in masked words."""
    told = spec(small("bert", model_type="brand_new", architectures=["BrandNewForMaskedLM"]))

    assert told.assumed
    assert not told.generates


def test_layers_of_an_unknown_kind_are_taken_for_attention():
    """In a family that is not known."""
    assert kinds(small("llama", model_type="brand_new", layer_types=["linear_attention", "full_attention"] * 2)) == {(Attention,): 4}


def test_an_older_configuration_of_a_model_with_eyes_is_flat():
    """Qwen2-VL names the language model's fields beside vision_config."""
    assert parameters(spec(small("qwen2", model_type="qwen2_vl"))) == parameters(spec(small("qwen2")))


def test_a_nested_configuration_is_followed_to_the_language_model():
    """Gemma 3 with an eye: the text model alone is counted, and what the publisher leaves to the family's defaults is filled in."""
    text = {"model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34, "sliding_window": 1024}
    told = spec({"model_type": "gemma3", "text_config": text, "vision_config": {"hidden_size": 1152}})

    assert (told.family, told.heads, told.vocab, told.window) == ("gemma3_text", 8, 262_208, 1024)
    assert parameters(told) == 3_880_263_168


def test_layers_with_a_window_are_told_apart():
    """Gemma 3: five of six layers slide; gpt-oss: every second one; Llama: none."""
    assert [(block.mixers[0].window, block.repeat) for block in spec(small("gemma3_text")).blocks] == [(16, 5), (None, 1)]
    assert [(block.mixers[0].window, block.repeat) for block in spec(small("gpt_oss")).blocks] == [(16, 2), (None, 2)]
    assert spec(small("llama")).window is None


def test_a_window_that_is_switched_off_is_none():
    """Qwen's configurations name a window that is not in use."""
    assert spec(small("qwen2", sliding_window=16, use_sliding_window=False)).window is None


def test_hybrids_have_layers_of_several_kinds():
    """Attention and recurrence, in the numbers that the configuration says; side by side in Falcon-H1; alone in Nemotron-H."""
    assert kinds(small("qwen3_next")) == {(LinearAttention,): 3, (Attention,): 1}
    assert kinds(small("bamba")) == {(StateSpace,): 3, (Attention,): 1}
    assert kinds(small("falcon_h1")) == {(Attention, StateSpace): 4}
    assert kinds(small("nemotron_h")) == {(StateSpace,): 2, (): 1, (Attention,): 1}


def test_first_layers_of_deepseek_are_dense():
    """One dense layer, three with experts, of which a token meets two of eight and the shared one."""
    told = spec(small("deepseek_v3"))
    expert = 3 * 64 * 32

    assert [(bool(block.mlp), bool(block.experts), block.repeat) for block in told.blocks] == [(True, False, 1), (False, True, 3)]
    assert parameters(told) - active_parameters(told) == 3 * 6 * expert


@pytest.mark.parametrize(
    ("name", "fields", "said"),
    [
        ("mixtral", {"num_experts_per_tok": 9}, "num_experts_per_tok"),
        ("mixtral", {"num_local_experts": "many"}, "num_local_experts"),
        ("mixtral", {"num_local_experts": None}, "num_experts"),
        ("mixtral", {"num_experts_per_tok": None}, "num_experts_per_tok"),
        ("llama", {"intermediate_size": None}, "intermediate_size"),
        ("llama", {"model_type": ["llama"]}, "model_type"),
        ("deepseek_v3", {"kv_lora_rank": None}, "kv_lora_rank"),
        ("deepseek_v3", {"qk_nope_head_dim": None}, "qk_nope_head_dim"),
        ("mamba", {"state_size": 0}, "state_size"),
        ("mamba2", {"num_heads": None}, "num_heads"),
        ("lfm2", {"num_hidden_layers": 9}, "num_hidden_layers"),
        ("t5", {"d_kv": -1}, "d_kv"),
        ("llama", {"head_dim": 10**12}, "head_dim"),
        ("llama", {"hidden_size": True}, "hidden_size"),
        ("llama", {"layer_types": 3}, "wrong kind"),
        ("llama", {"context": 1, "max_position_embeddings": 1}, "context"),
    ],
)
def test_a_wrong_field_is_named(name, fields, said):
    """One sentence, whatever is missing or absurd."""
    with pytest.raises(ValueError, match=said) as caught:
        spec(small(name, **fields))

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", SMALL)
def test_any_value_gives_a_model_or_one_sentence(name):
    """Whatever stands in a field: nothing but a ValueError, and what is accepted can be counted."""
    for field in SMALL[name]:
        for value in (None, 0, -1, "x", 1.5, [], [1], {}, 10**12, True):
            said = outcome(small(name, **{field: value}))

            assert "\n" not in said
