"""The real worker, except that each round is done twice: by the instrument, and by a bare loop without any marks.

Started by benchmarks/observer.py in the worker's place. Which of the two comes first alternates.
"""

import sys
import time

from profiler.worker import __main__ as worker
from profiler.worker import generate

ROUNDS = 30
instrumented = generate.Session._round


def bare(session: generate.Session) -> None:
    """One prefill, then all steps of a round; only the loop as a whole is timed."""
    decoding, steps = session.decoding, session.work.new_tokens - 1
    decoding.prefill()
    began = time.perf_counter()
    for _ in range(steps):
        decoding.step()
    session.channel.measured("bare_decode", (time.perf_counter() - began) / steps)


def both(session: generate.Session, round: int) -> None:
    """The instrument's round and the bare one, in alternating order."""
    for turn in (instrumented, bare) if round % 2 else (bare, instrumented):
        turn(session, round) if turn is instrumented else turn(session)


generate.Session._round = both
generate.Session._enough = lambda session, count: count >= ROUNDS

if __name__ == "__main__":
    sys.exit(worker.main(worker.CHANNEL))
