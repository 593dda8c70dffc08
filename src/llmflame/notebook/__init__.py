"""What a notebook needs: profiles that show themselves, and the magics `%llmflame` and `%%llmflame`.

Only `magics` imports IPython, and only `%load_ext llmflame` imports `magics`.
"""
