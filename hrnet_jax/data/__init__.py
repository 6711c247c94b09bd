"""Data sets: preparing records once, then reading them by index.

Preparing: `registry.prepare` (or `scripts/prepare_data.py`) writes ArrayRecord
files through TFDS. Reading: `records.open_records` gives samples by index and
needs neither TensorFlow nor the code that prepared them.
"""
