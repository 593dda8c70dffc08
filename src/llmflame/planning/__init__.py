"""Whether a model fits, before it is loaded: what each phase of a request holds, from config.json alone."""
