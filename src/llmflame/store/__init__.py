"""What was recorded: the nouns, the schema, the writer and the reader. Standard library only."""
