"""Modules that variants put in the place of those of `scratch`."""
