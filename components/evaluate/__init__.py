"""The evaluate step: measures the model on test. The function is in `step`."""
