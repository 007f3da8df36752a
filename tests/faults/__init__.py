"""Faults done to the pipeline with real processes: `make faults` writes docs/faults.md."""
