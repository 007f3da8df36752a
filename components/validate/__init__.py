"""The validate step: decides whether the data is what training expects."""
