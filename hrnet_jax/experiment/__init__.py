"""The configuration of a run: its keys with types, and what is built from it alone."""
