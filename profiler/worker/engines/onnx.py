"""Not there yet."""

from profiler.record.events import Job
from profiler.worker.channel import Channel


def load(job: Job, channel: Channel):
    """To come."""
    raise ValueError("This engine is not there yet.")
