"""The train step: makes the model. The function is in `step`."""
