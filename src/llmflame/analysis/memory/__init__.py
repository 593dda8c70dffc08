"""Where the bytes are: at each phase's peak, over time, and from step to step."""
