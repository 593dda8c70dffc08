"""What other profilers wrote, as profiles: so that every view works on it."""
