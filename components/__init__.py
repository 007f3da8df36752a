"""The steps of the pipeline: plain functions over paths and typed parameters, one folder a step."""
