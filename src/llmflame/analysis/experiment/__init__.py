"""What an experiment says: whether outputs agree, then what was faster, and how sure that is."""
