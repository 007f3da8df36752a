"""What to tell the user when MLflow refuses."""

from components.common.errors import MLFLOW_SETTING, TrackingError, first_line
from components.registry.registry import DENIED


def refusal(error: Exception) -> TrackingError:
    """What to tell the user of an error of MLflow, its database or its connection."""
    if getattr(error, "error_code", "") == DENIED:
        return TrackingError(
            "the MLflow server does not permit this user to do that",
            "ask its administrator for the permission EDIT: on the experiment, the registered model, and "
            "its history, the registered model whose name ends with .history",
            "give the user in the Secret fashion-storage the permission EDIT: on the experiment, the "
            "registered model, and its history, the registered model whose name ends with .history",
        )
    return TrackingError(
        f"MLflow refused or did not answer: {first_line(error)}",
        "check the server and MLFLOW_TRACKING_URI; running the same command again goes on from here",
        f"check the server and {MLFLOW_SETTING}, then submit the run again",
    )
