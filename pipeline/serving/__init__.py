"""The REST API: MLflow's scoring server with a version of the registry."""

MODEL, VERSION = "FASHION_SERVE_MODEL", "FASHION_SERVE_VERSION"
"""Environment variables: the registered model, and the version of it to serve."""
