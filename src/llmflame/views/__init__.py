"""How it is shown: views take a profile's analysis and return text; they measure nothing."""
