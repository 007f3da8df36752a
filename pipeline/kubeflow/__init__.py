"""The same steps as a Kubeflow pipeline: compiled, run locally, submitted, watched, scheduled."""
