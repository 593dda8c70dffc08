"""A keyboard browser of one profile in a terminal: `llmflame show FILE --interactive`.

Only `app`, `chooser`, `rows`, `tabs` and the panes import Textual; what is shown is computed in modules that
know nothing of it. No text of a profile ever reaches Textual as a string that it could take for markup:
lines are drawn from `rich.text.Text`, and everything in them went through `views.safe`.
"""
