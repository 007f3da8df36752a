"""The register step: makes the model a version in the registry. The function is in `step`."""
