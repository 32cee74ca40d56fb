"""How good a model still is."""

from profiler.record.events import Job
from profiler.worker.channel import Channel


def score(job: Job, channel: Channel, engine) -> None:
    """Score a held-back text."""
