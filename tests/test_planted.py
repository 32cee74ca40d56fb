"""Cases whose limit was planted, measured for real: the verdict names it, and its proof does not refute it.

Slow: minutes each. A machine too noisy to answer is told apart from a wrong answer: it skips, with the reason.
"""

import pytest

from benchmarks import planted
from profiler.catalog.machine import this_machine
from profiler.record.jobs import Jobs
from profiler.record.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
KINDS = {"compute": "compute-bound", "bandwidth": "bandwidth-bound", "overhead": "overhead-bound"}


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    return Jobs(Store(tmp_path_factory.mktemp("planted") / "runs.sqlite"), this_machine())


@pytest.mark.parametrize("case", KINDS)
def test_what_was_planted_is_found_and_proved(jobs, case):
    """Large products, huge matrix-vector products, many tiny operators: each verdict is its own, and experiments agree."""
    run, found, fall = planted.measured(jobs, case)
    if found.kind == "inconclusive":
        pytest.skip(f"the machine is too noisy for an answer: {found.sentence}")
    assert sum(part.seconds for part in fall.parts) == pytest.approx(fall.measured, rel=0.01)
    if not planted.rooted(case, run):
        pytest.skip("no kernel of the library's comes near this machine's memory, so nothing can be planted")
    assert found.kind == KINDS[case], found.sentence

    held = planted.proved(jobs, case, run)
    assert held is not None
    assert held.count("confirms") >= held.count("refutes"), held.sentence
