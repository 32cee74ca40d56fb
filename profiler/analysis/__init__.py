"""What it means: pure functions from a run to its waterfall, verdict, doubts and report."""
