"""Days of three kinds of user, in the words of README and docs."""
