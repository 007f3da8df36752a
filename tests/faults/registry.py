"""What somebody does to the registry by hand, in MLflow's UI or client; `fashion run` mends it."""

import sys
from collections.abc import Iterator

from tests.faults.bench import Bench, Fault, Round, run
from tests.support.project import MODEL

# In a process of its own: MLflow keeps a connection to a store, which the next round replaces.
CLIENT = "from mlflow import MlflowClient; client = MlflowClient('sqlite:///mlruns/mlflow.db'); client."


def by_hand(call: str) -> Fault:
    """A call of MLflow's client after a run."""

    def fault(bench: Bench, rounds: int) -> Iterator[Round]:
        for _ in range(rounds):
            project = bench.restore()
            ran = run(project, sys.executable, "-c", CLIENT + call)
            assert ran.code == 0, ran.output
            # The model that the run has logged stays there when its version is deleted.
            yield Round(project, ran, go_on=("fashion", "run"), aside=("logged model",))

    return fault


FAULTS = {
    "registry emptied": by_hand(f"delete_registered_model('{MODEL}')"),
    "run deleted in the UI": by_hand("delete_run(client.search_runs(['1'])[0].info.run_id)"),
    "alias deleted": by_hand(f"delete_registered_model_alias('{MODEL}', 'champion')"),
    "registered model renamed": by_hand(f"rename_registered_model('{MODEL}', 'other')"),
    "version deleted": by_hand(f"delete_model_version('{MODEL}', '1')"),
}
