"""Measurements, each behind a target of the Makefile."""
