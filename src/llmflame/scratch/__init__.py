"""A Llama-family decoder from nothing but PyTorch, to be read: begin with `model.py`.

It imports nothing of llmflame. docs/scratch.md says in which order to read it, and what is left out.
"""
