"""Where the time of a compiled program goes, kernel by kernel; see `profile.py`."""
