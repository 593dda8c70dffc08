"""Who holds the memory of this process, and of its device, at an instant."""
