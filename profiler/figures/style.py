"""The palette and the few settings that all figures share (Okabe and Ito's colours, safe for colour-blind readers)."""

import numpy as np
import plotly.graph_objects as go

BLUE, ORANGE, GREEN, RED, PINK, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
COLOURS = {
    "physics": GREEN,  # of the waterfall, by kind of part
    "kernels": ORANGE,
    "framework": RED,
    "untold": RED,
    "waiting": PINK,
    "measured": BLUE,
    "weights": BLUE,
    "KV cache": GREEN,
    "activations": ORANGE,
    "libraries": SKY,
    "this tool": PINK,
    "rest": "#999999",
    "prefill": ORANGE,
    "decode": BLUE,
    "warm-up": SKY,
}
POINTS = 2000  # per trace: what a browser draws in place twice a second


def figure(height: int, x: str, y: str, **layout) -> go.Figure:
    """An empty figure with titled axes."""
    shared = {
        "height": height,
        "margin": {"l": 64, "r": 16, "t": 40, "b": 48},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    }
    return go.Figure(layout=shared | {"xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}}} | layout)


def decimate(x, y, points: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and largest sample of each bucket, in time order: at most about `points`, extremes kept."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    if len(y) <= points:
        return x, y
    edges = np.linspace(0, len(y), points // 2 + 1).astype(int)
    picks = [begin + pick for begin, end in zip(edges, edges[1:]) for pick in {int(y[begin:end].argmin()), int(y[begin:end].argmax())}]
    order = np.sort(picks)
    return x[order], y[order]
