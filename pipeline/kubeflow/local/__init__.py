"""The pipeline in KFP's local runner."""
