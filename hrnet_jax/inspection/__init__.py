"""Networks and data sets as tables and pictures."""
