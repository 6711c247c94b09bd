"""Pages to look at in a browser: the report of runs, and the demo."""
