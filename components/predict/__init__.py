"""Predictions of the champion for pictures."""
