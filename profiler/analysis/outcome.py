"""What came out of an experiment: as rows of words for the page and the terminal, as plain values for JSON."""

from profiler.analysis.experiment import Experiment
from profiler.analysis.labs import Lab, conclude
from profiler.spec.units import words

CURVES = {"read": "B/s", "copy": "B/s", "triad": "B/s", "matmul": "FLOP/s", "matvec": "B/s", "sensitivity": "nats"}


def wide(lab: Lab, experiment: Experiment) -> list[dict[str, str]]:
    """All data of an experiment, one row a point, in words."""
    return lab.table(experiment) if lab.table else rows(lab, experiment)


def rows(lab: Lab, experiment: Experiment) -> list[dict[str, str]]:
    """The data of an experiment, one row a point, in words; no more columns than a terminal has room for."""
    if short := lab.brief or lab.table:
        return short(experiment)
    if lab.place is None:
        return [
            {"what": curve, "series": series, "at": words(x, "1" if curve == "matmul" else "B"), "reached": words(value, unit)}
            for curve, unit in CURVES.items()
            for series, points in experiment.points(curve).items()
            for x, value in zip(*points)
        ]
    points = [
        {
            lab.axis: words(point.x, "B") if lab.unit == "B" else f"{point.x:,.0f}",
            "series": point.series,
            "model": point.run.spec.model.name if point.run.spec.model else "",
            "step": words(point.seconds, "s"),
            "95 % interval": " to ".join(words(end, "s") for end in point.steps.interval),
            "least by physics": words(point.least, "s"),
            "decode speed": words(point.tokens, "tok/s"),
            "steps": str(len(point.steps)),
            "run": point.run.id,
        }
        for point in experiment.landed(lab.place)
    ]
    constant = {name for name in ("series", "model") if len({point[name] for point in points}) < 2}
    return [{name: value for name, value in point.items() if name not in constant} for point in points]


def told(lab: Lab, experiment: Experiment) -> dict:
    """The experiment as plain values, ready for JSON."""
    found = conclude(lab, experiment)
    points = [
        {
            "x": point.x,
            "series": point.series,
            "seconds": point.steps.summary(),
            "least": point.least,
            "run": point.run.id,
            "command": point.run.spec.command,
        }
        for point in (experiment.landed(lab.place) if lab.place else ())
    ]
    return {
        "experiment": experiment.whole,
        "lab": lab.name,
        "finding": {"title": found.title, "sentence": found.sentence, "conclusive": found.conclusive, "numbers": found.numbers},
        "points": points,
        **({"variants": lab.values(experiment)} if lab.values else {}),
        "curves": {curve: lines for curve in CURVES if (lines := experiment.points(curve))},
        "lost": [{"run": run.id, "title": run.spec.title, "status": run.status, "reason": run.reason} for run in experiment.lost],
    }
