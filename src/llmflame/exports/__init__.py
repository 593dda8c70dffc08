"""A profile in the formats of other tools: one file a format. Parquet needs pyarrow, the others nothing."""
