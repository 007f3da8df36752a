"""The MLflow store of runs and models: a server, a database, or the embedded store in the project."""

import os
from contextlib import chdir
from pathlib import Path

from filelock import FileLock

from components.common.errors import MLFLOW_SETTING, StorageError, TrackingError, first_line, redacted
from components.common.files import as_storage_error
from pipeline.tracking.server import check_server
from pipeline.tracking.settings import configure_mlflow

FOLDER = "mlruns"
RUN_ID = "FASHION_RUN_ID"
"""The environment variable with the id of the pipeline run that a step belongs to."""


def store_folder(root: Path) -> Path:
    """The folder of the embedded store.

    DVC runs queued experiments in copies of the project below `.dvc/tmp/exps`: these share its store.
    """
    for parent in root.parents:
        if parent.parts[-3:] == (".dvc", "tmp", "exps"):
            return parent.parents[2] / FOLDER
    return root / FOLDER


def tracking_uri(root: Path) -> str:
    """MLFLOW_TRACKING_URI, or the SQLite database of the embedded store."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _embedded_uri(root)


def is_embedded(root: Path) -> bool:
    """Whether runs are kept in the embedded store.

    MLFLOW_TRACKING_URI may be set then, too: MLflow sets it for its child processes.
    """
    return tracking_uri(root) == _embedded_uri(root)


def _embedded_uri(root: Path) -> str:
    from sqlalchemy.engine import URL, make_url

    database = str(store_folder(root) / "mlflow.db")
    plain = f"sqlite:///{database}"
    if make_url(plain).database == database:
        return plain
    # A path with `?` or `%` must be quoted in a URI. Without the driver's name in the URI, MLflow would
    # create a folder with the quoted name.
    return URL.create("sqlite+pysqlite", database=database).render_as_string()


def check_servers(root: Path) -> None:
    """Checks that the servers of runs and of registered models, if there are any, can be used.

    Raises:
        TrackingError: One of them cannot be used.
    """
    check_server(tracking_uri(root))
    if registry := os.environ.get("MLFLOW_REGISTRY_URI"):
        check_server(registry, variable="MLFLOW_REGISTRY_URI")


def open_store(root: Path) -> str:
    """Opens the store, creates it if it is the embedded one, and returns its tracking URI.

    Raises:
        TrackingError: The server cannot be used, or the store cannot be opened.
        StorageError: The disk is full, or the folder cannot be written.
    """
    uri = tracking_uri(root)
    check_servers(root)
    configure_mlflow()
    import mlflow
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        database = sqlite_file(uri)
        if is_embedded(root):
            folder = store_folder(root)
            if "'" in str(folder):  # MLflow 3.17 writes it into its SQL without quoting it
                raise TrackingError(
                    f"MLflow cannot create a store in {folder}: the path has an apostrophe",
                    "rename that folder, or set MLFLOW_TRACKING_URI to http://HOST:PORT",
                    f"set {MLFLOW_SETTING} to http://HOST:PORT",
                )
            folder.mkdir(exist_ok=True)
            # The lock: two experiments must not create the tables at the same time. The working directory:
            # MLflow puts the experiment Default there, and DVC deletes its copies of the project.
            with FileLock(folder / ".lock"), chdir(folder.parent):
                unfinished = folder / ".unfinished"
                if unfinished.exists():  # MLflow cannot go on with the tables that it has half created
                    for leftover in folder.glob("mlflow.db*"):
                        leftover.unlink()
                if database and not database.exists():
                    unfinished.touch()
                mlflow.set_tracking_uri(uri)
                mlflow.MlflowClient().search_experiments(max_results=1)
                unfinished.unlink(missing_ok=True)
        elif database and not database.parent.is_dir():  # MLflow would retry for 100 s
            raise FileNotFoundError(f"there is no folder {database.parent}")
        else:
            mlflow.set_tracking_uri(uri)
            mlflow.MlflowClient()
    except (MlflowException, SQLAlchemyError, OSError, ImportError, ValueError) as error:
        if "disk is full" in str(error):
            raise StorageError(
                f"no space left for {redacted(uri)}",
                "free some space and run the same command again",
                f"set {MLFLOW_SETTING} to http://HOST:PORT",
            ) from None
        if "database is locked" in str(error):
            raise TrackingError(
                f"{redacted(uri)} is locked by another process", "wait until that has ended, or end it"
            ) from None
        raise as_storage_error(error, store_folder(root)) or TrackingError(
            f"{redacted(uri)} cannot be opened: {first_line(error)}",
            "set MLFLOW_TRACKING_URI to http://HOST:PORT or sqlite:///FILE, or unset it",
            f"set {MLFLOW_SETTING} to http://HOST:PORT",
        ) from None
    return uri


def sqlite_file(uri: str) -> Path | None:
    """The file of an SQLite database, None for any other URI."""
    if not uri.startswith("sqlite"):
        return None
    from sqlalchemy.engine import make_url

    return Path(make_url(uri).database or "").absolute()
