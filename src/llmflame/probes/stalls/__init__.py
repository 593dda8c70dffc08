"""Why warps wait: samples of the device's program counters, each with the reason that a warp gave."""
