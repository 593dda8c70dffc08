"""A profile in the formats of other tools: one file a format, none needs more than the standard library."""
