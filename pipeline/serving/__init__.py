"""The REST API: MLflow's scoring server with a version of the registry."""

MODEL, VERSION = "FASHION_SERVE_MODEL", "FASHION_SERVE_VERSION"
"""Environment variables: the registered model, and the version of it to serve."""
DRAINING = "FASHION_SERVE_DRAINING"
"""Environment variable: a file that a pod makes before it ends; then each answer closes its connection."""
