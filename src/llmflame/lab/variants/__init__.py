"""The variants: one file each, and the table of all of them. Importing them imports no torch."""
