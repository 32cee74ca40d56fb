"""How long does the page Hardware take on the server, from a moved slider to all figures drawn? (target 0.2 s)

python -m benchmarks.redraw
"""

import os
import statistics
import tempfile
import time

from streamlit.testing.v1 import AppTest

from profiler.record.process import ROOT

MOVES = 25


def main() -> None:
    """Move the sliders of prompt and batch to and fro, on every device there is; print the median and the slowest redraw."""
    os.environ["NEED_FOR_SPEED_HOME"] = tempfile.mkdtemp()
    began = time.perf_counter()
    at = AppTest.from_file(str(ROOT / "pages" / "hardware.py"), default_timeout=60).run()
    print(f"first view: {time.perf_counter() - began:.2f} s, {len(at.get('plotly_chart'))} figures, {at.subheader[0].value}")
    wall, processor = [], []
    for move in range(MOVES):
        name, value = (("prompt_tokens", 1 << (7 + move % 6)), ("batch", 1 << (move % 5)))[move % 2]
        slider = next(one for one in at.select_slider if one.key == name)
        start, spent = time.perf_counter(), time.process_time()
        slider.set_value(value).run()
        wall.append(time.perf_counter() - start)
        processor.append(time.process_time() - spent)
    print(f"redraw after a slider: median {1e3 * statistics.median(wall):.0f} ms, slowest {1e3 * max(wall):.0f} ms (target 200 ms)")
    print(f"of it processor time: median {1e3 * statistics.median(processor):.0f} ms, least {1e3 * min(processor):.0f} ms")


if __name__ == "__main__":
    main()
