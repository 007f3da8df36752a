"""The environment of a step's pod: names of variables, of the ConfigMap and of the Secret."""

LOCAL = "FASHION_RUN_LOCAL"
"""Is set in KFP's local runner, not in a pod."""
STATE_URL = "FASHION_STATE_URL"
"""Names the object storage of step statuses and checkpoints."""
CONFIG_MAP, SECRET = "fashion-config", "fashion-storage"
"""The ConfigMap and the Secret that the steps' pods take their environment from."""
CONFIG_KEYS = ("MLFLOW_TRACKING_URI", "FASHION_STATE_URL", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION")
SECRET_KEYS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
)
