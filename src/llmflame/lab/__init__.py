"""Which change helps: variants of a model's run, measured against each other, with equal outputs."""
