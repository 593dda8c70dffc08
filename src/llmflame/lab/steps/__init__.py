"""What variants do to a decode step: capture it as a CUDA graph, compile it."""
