"""Whole recordings: real models, real processes, real faults."""
