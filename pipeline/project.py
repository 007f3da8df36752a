"""The folders and files of a project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline import params as parameters


def project_root() -> Path:
    """The folder of `params.yaml`: the working directory, or its nearest parent that has one."""
    here = Path.cwd()
    return next((p for p in (here, *here.parents) if (p / "params.yaml").is_file()), here)


@dataclass(frozen=True)
class Project:
    """Where a project keeps its files.

    Args:
        root: The folder of `params.yaml`.
        paths: Paths outside of the root, by `data` or the step that writes there.
        state: Folder or `s3://BUCKET/PREFIX` for the state of an unfinished training, if not below the root.
        remote: The DVC remote of a pod, where DVC is not.
    """

    root: Path
    paths: Mapping[str, Path] = field(default_factory=dict)
    state: str = ""
    remote: str = ""

    @property
    def data(self) -> Path:
        """The folder of the four IDX files."""
        return self.paths.get("data", self.root / "data")

    @property
    def registration(self) -> Path:
        """The record of the last registration.

        It is in the folder of the embedded store, so that DVC registers again after that was deleted.
        """
        return self.paths.get("register", self.root / "mlruns" / "registration.json")

    def out(self, step: str) -> Path:
        """The folder of a step's files."""
        return self.paths.get(step, self.root / "outputs" / step)

    @property
    def training_state(self) -> str:
        """The state of an unfinished training; it is no output of DVC, which would delete it."""
        return self.state or str(self.root / "outputs" / ".training")

    def params(self) -> parameters.Params:
        """The checked parameters."""
        return parameters.load(self.root / "params.yaml")
