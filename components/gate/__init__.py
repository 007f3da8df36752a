"""The gate step: decides whether the model may be promoted. The function is in `step`."""
