"""Where runs and models are kept: the server of MLFLOW_TRACKING_URI, or a folder of the project."""

import os
from contextlib import chdir
from pathlib import Path

from filelock import FileLock

from components.common.errors import MLFLOW_SETTING, TrackingError, first_line, redacted
from components.common.files import as_storage_error
from pipeline.tracking.server import check_server
from pipeline.tracking.settings import settle_mlflow

FOLDER = "mlruns"
RUN_ID = "FASHION_RUN_ID"
"""The variable that names the pipeline run that a step belongs to."""


def store_folder(root: Path) -> Path:
    """The embedded store.

    DVC runs queued experiments in a copy of the project below `.dvc/tmp/exps`; they share the original's.
    """
    for parent in root.parents:
        if parent.parts[-3:] == (".dvc", "tmp", "exps"):
            return parent.parents[2] / FOLDER
    return root / FOLDER


def tracking_uri(root: Path) -> str:
    """MLFLOW_TRACKING_URI, or SQLite in the embedded store."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _embedded_uri(root)


def is_embedded(root: Path) -> bool:
    """Whether runs are kept in the project's own store.

    The variable alone does not say: MLflow sets it itself, for what the process starts.
    """
    return tracking_uri(root) == _embedded_uri(root)


def _embedded_uri(root: Path) -> str:
    from sqlalchemy.engine import URL, make_url

    database = str(store_folder(root) / "mlflow.db")
    plain = f"sqlite:///{database}"
    if make_url(plain).database == database:
        return plain
    # A folder's name may mean something in an address, as `a?b` and `per%20cent` do. With the driver in the
    # address MLflow does not make a folder of that name as it is written there.
    return URL.create("sqlite+pysqlite", database=database).render_as_string()


def check_servers(root: Path) -> None:
    """Asks the servers of runs and of models, where there are any, whether they can be used.

    Raises:
        TrackingError: One of them cannot.
    """
    check_server(tracking_uri(root))
    registry = os.environ.get("MLFLOW_REGISTRY_URI")
    if registry:
        check_server(registry, variable="MLFLOW_REGISTRY_URI")


def open_store(root: Path) -> str:
    """Makes the store ready for use and returns its address.

    Raises:
        TrackingError: The server cannot be used, or the store cannot be opened.
    """
    uri = tracking_uri(root)
    check_servers(root)
    settle_mlflow()
    import mlflow
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        database = sqlite_file(uri)
        if is_embedded(root):
            folder = store_folder(root)
            folder.mkdir(exist_ok=True)
            # Two experiments at once must not both create the tables. MLflow puts the experiment Default into
            # the working directory, which may be a copy of the project that DVC deletes.
            with FileLock(folder / ".lock"), chdir(folder.parent):
                mlflow.set_tracking_uri(uri)
                mlflow.MlflowClient().search_experiments(max_results=1)
        elif database and not database.parent.is_dir():  # MLflow would try again for 100 s
            raise FileNotFoundError(f"there is no folder {database.parent}")
        else:
            mlflow.set_tracking_uri(uri)
            mlflow.MlflowClient()
    except (MlflowException, SQLAlchemyError, OSError, ImportError, ValueError) as error:
        raise as_storage_error(error, store_folder(root)) or TrackingError(
            f"{redacted(uri)} cannot be opened: {first_line(error)}",
            "set MLFLOW_TRACKING_URI to http://HOST:PORT or sqlite:///FILE, or unset it",
            f"set {MLFLOW_SETTING} to http://HOST:PORT",
        ) from None
    return uri


def sqlite_file(uri: str) -> Path | None:
    """The file of an SQLite database, None for any other address."""
    if not uri.startswith("sqlite"):
        return None
    from sqlalchemy.engine import make_url

    return Path(make_url(uri).database or "").absolute()
