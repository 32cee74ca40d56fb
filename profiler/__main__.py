"""python -m profiler"""

from profiler.cli import app

app(prog_name="python -m profiler")
