"""What runs: from MODEL on the command line to a local checkpoint. Importing it imports no torch."""
