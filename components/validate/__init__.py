"""The validate step: decides whether the data is what training expects. The function is in `step`."""
