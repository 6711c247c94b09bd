"""Tools for the documentation; they belong to the repository and are not installed."""
