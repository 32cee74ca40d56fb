"""A worker that measures nothing: it does what the model's name says. Started like the real one, speaks like it."""

import os
import sys
import time

from profiler.record.events import Entered, Finished, Job, Started, Step
from profiler.worker.channel import Channel, leash

channel = Channel(sys.stdout)
channel.line("ready")
job = Job.model_validate_json(sys.stdin.readline())
leash()
does = job.spec.model.name if job.spec.model else "finish"
channel.emit(Started(at=time.time(), hardware=job.hardware, versions={}, warm=job.warm))
channel.enter("decode", timed=True, left=30.0)
channel.emit(Step(at=time.time(), name="decode", seconds=(0.1, 0.1)))
if does == "crash":
    print("the last words", file=sys.stderr, flush=True)
    os.abort()
if does == "kill":
    os.kill(os.getpid(), 9)
if does == "half a line":
    channel.stream.write('{"kind": "step", "at"')
    channel.stream.flush()
    os._exit(1)
if does == "chatter":
    print("x" * 10_000_000, file=sys.stderr, flush=True)
if does == "hang":
    time.sleep(60)
time.sleep(0.3 if does == "slow" else 0)
channel.emit(Entered(at=time.time(), name="rest"))
channel.emit(Finished(at=time.time()))
