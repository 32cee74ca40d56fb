"""Are the ceilings as high as what a compiler reaches? Our triad against a compiled STREAM triad, our matrix products
against the libraries called directly, in alternating passes on the same bound threads.

python -m benchmarks.roofs
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from profiler.catalog.machine import this_machine
from profiler.record.process import ROOT, Environment

COMPILER = os.environ.get("CC", "cc")
FLAGS = ("-O3", "-march=native", "-fopenmp")
TUNED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # numpy shall choose for itself


def main() -> None:
    """Compile, then measure in a process whose threads are bound as a worker's."""
    if shutil.which(COMPILER) is None:
        sys.exit(f"There is no C compiler ({COMPILER}) here, so there is nothing to compare with; install one or name it in CC.")
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "stream"
        subprocess.run([COMPILER, *FLAGS, str(ROOT / "benchmarks" / "stream.c"), "-o", str(program)], check=True)
        bound = os.environ | Environment(threads=this_machine().cores, huge_pages=True).variables()
        kept = {name: value for name, value in bound.items() if name not in TUNED}
        done = subprocess.run([sys.executable, "-m", "benchmarks.roofs_bound", str(program)], check=False, cwd=ROOT, env=kept)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
