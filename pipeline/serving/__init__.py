"""The REST API: MLflow's scoring server with a version of the registry."""
