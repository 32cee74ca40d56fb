"""Facts: models by name, and the machine we are on. Nothing here computes a cost or imports torch."""
