"""Two profiles beside each other: what differs between the runs, and what that did to their numbers."""
