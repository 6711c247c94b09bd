"""Paths of everything that a user may keep in a bucket.

`paths` turns what was typed into a path, `numbered` has processes agree on who is next,
`patience` says how long storage that does not answer is asked again, `google` has Google
Cloud Storage do so.
"""
