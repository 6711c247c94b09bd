"""Runs on machines that are rented for them: Cloud TPU, GKE, SkyPilot."""
