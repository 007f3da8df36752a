"""The environment of a step's pod: its variables, and the ConfigMap and the Secret that they come from."""

LOCAL = "FASHION_RUN_LOCAL"
"""The variable that tells a step that it runs in KFP's local runner, not in a pod."""
STATE_URL = "FASHION_STATE_URL"
"""The variable that names the storage."""
CONFIG_MAP, SECRET = "fashion-config", "fashion-storage"
"""What the steps' pods take their environment from."""
CONFIG_KEYS = ("MLFLOW_TRACKING_URI", "FASHION_STATE_URL", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION")
SECRET_KEYS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
)
