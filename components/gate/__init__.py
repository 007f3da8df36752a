"""The gate step: decides whether a model may be promoted."""
