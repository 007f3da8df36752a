"""MLflow: the server or the embedded store, its runs, and what is recorded there."""
