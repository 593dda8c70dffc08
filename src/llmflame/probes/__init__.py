"""How it is measured: one file a source, each with its cost and its losses."""
