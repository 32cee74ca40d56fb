import pytest
from pydantic import ValidationError

from profiler.spec.deployment import Deployment
from tests.paper import DEVICE, placed


def test_one_device_is_one_replica():
    """Nothing is split unless somebody says so."""
    plain = Deployment(device=DEVICE)

    assert (plain.devices, plain.group, plain.replicas, plain.expert) == (1, 1, 1, 1)


@pytest.mark.parametrize(
    ("split", "group", "replicas"),
    [
        ({"devices": 8}, 1, 8),
        ({"devices": 8, "tensor": 4}, 4, 2),
        ({"devices": 8, "tensor": 2, "pipeline": 4}, 8, 1),
        ({"devices": 32, "expert": 32}, 1, 32),
        ({"devices": 16, "tensor": 2, "expert": 8}, 2, 8),
    ],
)
def test_a_group_works_on_one_request_and_the_rest_are_replicas(split, group, replicas):
    """Tensor × pipeline devices; experts are spread over replicas."""
    assert (placed(**split).group, placed(**split).replicas) == (group, replicas)


@pytest.mark.parametrize(
    ("split", "size"),
    [
        ({"devices": 8, "tensor": 3}, 3),
        ({"tensor": 2}, 2),
        ({"devices": 6, "tensor": 2, "pipeline": 2}, 4),
        ({"devices": 8, "expert": 3}, 3),
    ],
)
def test_devices_that_groups_cannot_share_are_refused_with_both_numbers(split, size):
    """Eight devices in groups of three."""
    with pytest.raises(ValidationError, match=f"{split.get('devices', 1)} devices cannot be shared by groups of {size}"):
        placed(**split)


@pytest.mark.parametrize("name", ["devices", "tensor", "pipeline", "expert"])
@pytest.mark.parametrize("count", [0, -1, 1.5, 10**7])
def test_counts_are_whole_and_some(name, count):
    """None, half a one, and ten million are refused by name."""
    with pytest.raises(ValidationError, match=name):
        placed(**{name: count})


def test_an_unknown_engine_is_refused_with_those_that_are_known():
    """All of them."""
    with pytest.raises(ValidationError, match=r"no engine is called 'abacus'; known are llama\.cpp, .*eager"):
        placed(engine="abacus")


@pytest.mark.parametrize(
    ("engine", "flash", "fused"), [("vllm", None, True), ("llama.cpp", None, False), ("llama.cpp", True, True), ("vllm", False, False)]
)
def test_attention_is_fused_as_the_engine_does_it_or_as_a_person_says(engine, flash, fused):
    """llama.cpp writes its scores out unless it is told not to."""
    assert placed(engine=engine, flash=flash).fused is fused


def test_a_deployment_is_a_value():
    """Equal fields make equal deployments, and nothing changes one."""
    assert placed() == placed()
    with pytest.raises(ValidationError, match="frozen"):
        placed().devices = 2
