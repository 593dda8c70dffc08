"""Tests of what MODEL means."""
