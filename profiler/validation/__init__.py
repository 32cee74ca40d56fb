"""Published measurements against predictions: one table in, errors by source out; and the fits of the constants."""
