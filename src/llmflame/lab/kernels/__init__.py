"""Triton kernels of a decode step of one sequence. Importing this package imports no triton."""
