"""Passes and their order, in child processes or beside a live object."""
