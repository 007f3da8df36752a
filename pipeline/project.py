"""The folders and files of a project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline import params as parameters


def project_root() -> Path:
    """The folder of `params.yaml`: here, or the nearest parent that has one."""
    here = Path.cwd()
    return next((p for p in (here, *here.parents) if (p / "params.yaml").is_file()), here)


@dataclass(frozen=True)
class Project:
    """The places of a project.

    Args:
        root: The folder of `params.yaml`.
        places: What lies elsewhere than below the root, by `data` or the step that writes it.
        state: Folder or `s3://BUCKET/PREFIX` for the state of an unfinished training, if not below the root.
    """

    root: Path
    places: Mapping[str, Path] = field(default_factory=dict)
    state: str = ""

    @property
    def data(self) -> Path:
        """The four IDX files."""
        return self.places.get("data", self.root / "data")

    @property
    def registration(self) -> Path:
        """The record of the last registration.

        It lies with the embedded store, so that whoever deletes the store makes DVC register again.
        """
        return self.places.get("register", self.root / "mlruns" / "registration.json")

    def out(self, step: str) -> Path:
        """The folder of a step's files."""
        return self.places.get(step, self.root / "outputs" / step)

    @property
    def training_state(self) -> str:
        """What an unfinished training goes on from; DVC does not know of it, and does not remove it."""
        return self.state or str(self.root / "outputs" / ".training")

    def params(self) -> parameters.Params:
        """The checked parameters."""
        return parameters.load(self.root / "params.yaml")
