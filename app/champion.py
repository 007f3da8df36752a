"""The champion, as each page gets it: looked up at every interaction, loaded once for each version."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import streamlit as st

from app.neighbours import Neighbours
from app.network import Network
from components.common import idx
from components.common.errors import DataError, PipelineError
from components.common.files import data_version
from components.common.report import data_uri
from components.registry.model import champion_version, load_version
from components.registry.predictions import artifacts, predicted_by
from components.registry.registry import CARD_FOLDER, DATA_TAG, Registry, weights_of
from pipeline.params import Params
from pipeline.project import Project, project_root
from pipeline.registry.versions import open_registry, read_card

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from components.common.idx import Bytes, Split

SECONDS = 5
"""After this time a page that nobody touches looks whether there is another champion."""


@dataclass(frozen=True)
class Champion:
    """A version that is champion, and the registry that says so."""

    registry: Registry
    version: ModelVersion

    @property
    def number(self) -> int:
        """The version's number."""
        return int(self.version.version)

    @property
    def data(self) -> str:
        """The version of the data that it was trained on."""
        return str(self.version.tags.get(DATA_TAG, "unknown"))

    @property
    def accuracy(self) -> float | None:
        """Its accuracy on the test images, as the registry has it."""
        tag = self.version.tags.get("test_accuracy")
        return None if tag is None else float(tag)


def project() -> Project:
    """The project in whose folder the app was started."""
    return Project(project_root())


def params() -> Params:
    """The parameters, as `params.yaml` says now."""
    return project().params()


def find_champion() -> Champion:
    """The version that is champion now.

    Raises:
        PipelineError: No version is champion.
        TrackingError: The registry cannot be reached.
    """
    from pipeline.tracking.experiment import refusals

    with refusals():
        registry = open_registry(project().root, params().register_.model_name)
        return Champion(registry, champion_version(registry))


def as_text(text: str) -> str:
    """Markdown that shows a text as it is; else a file's name could load a picture of a web site."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))


@contextmanager
def errors_shown(name: str = "") -> Iterator[None]:
    """Shows an error that the user can correct as two lines, and ends the page there.

    Args:
        name: Of the file that the block reads; the message begins with it.
    """
    from pipeline.tracking.experiment import refusals

    try:
        with refusals():
            yield
    except PipelineError as error:
        message = as_text(f"{name}: {error}" if name else str(error))
        todo = f"\n\n**What to do:** {error.hint}" if error.hint else ""
        st.error(message + todo, icon=":material/error:")
        if not name:
            follow_champion(None)  # the page comes back by itself
        st.stop()


def load(champion: Champion) -> Network:
    """The champion's model; it is downloaded once for each version."""
    return _load(weights_of(champion.version), champion.number, tuple(params().data.classes), champion)


@st.cache_resource(max_entries=2, show_spinner="Loading the model …")
def _load(weights: str, number: int, classes: tuple[str, ...], _champion: Champion) -> Network:  # noqa: ARG001
    return Network(load_version(_champion.registry.client, _champion.version, classes))


@dataclass(frozen=True)
class Data:
    """The data in the project's folder, all of one version.

    Args:
        version: Their version.
        splits: Images and labels of each split.
    """

    version: str
    splits: dict[Split, tuple[Bytes, Bytes]]


def read_data() -> Data:
    """The data as they are now; they are read once, and again when a file has changed."""
    return _data(_file_states(project().data))


def _file_states(folder: Path) -> tuple[tuple[str, int, int, int], ...]:
    """What tells, without reading the files, whether one has changed."""
    states = [(path.name, path.stat()) for path in sorted(folder.glob("*"))]
    return tuple((name, state.st_ino, state.st_size, state.st_mtime_ns) for name, state in states)


@st.cache_resource(max_entries=1, show_spinner="Reading the images …")
def _data(states: tuple[tuple[str, int, int, int], ...]) -> Data:
    folder, classes = project().data, len(params().data.classes)
    data = Data(data_version(folder), {split: idx.read_split(folder, split, classes) for split in idx.SPLITS})
    _check_unchanged(_file_states(folder) == states)
    return data


def _check_unchanged(same: bool) -> None:
    if not same:
        raise DataError("the data changed while they were read", "load the page again")


def neighbours(champion: Champion, network: Network, data: Data) -> Neighbours:
    """The training images by their features; they are computed in the background."""
    return _neighbours(weights_of(champion.version), data.version, network, data)


@st.cache_resource(max_entries=1, show_spinner=False, on_release=Neighbours.stop)
def _neighbours(weights: str, version: str, _network: Network, _data: Data) -> Neighbours:
    path = project().root / "outputs" / ".app" / f"{weights[:16]}-{version[:16]}.npy"
    return Neighbours(_data.splits["train"][0], _network.features, path)


def predicted(champion: Champion, data: Data) -> Bytes:
    """The classes that the champion predicts for the test images."""
    return _predicted(weights_of(champion.version), data.version, champion)


@st.cache_data(max_entries=2, show_spinner="Reading the predictions …")
def _predicted(weights: str, version: str, _champion: Champion) -> Bytes:  # noqa: ARG001
    settings, client = params(), _champion.registry.client
    found = predicted_by(
        client, _champion.version, project().data, settings.data.classes, settings.evaluate.batch_size
    )
    _check_unchanged(read_data().version == version)
    return found


def card(champion: Champion) -> str:
    """The model card of the champion, Markdown with its pictures."""
    return _card(weights_of(champion.version), champion.number, champion)


@st.cache_data(max_entries=2, show_spinner="Reading the card …")
def _card(weights: str, number: int, _champion: Champion) -> str:  # noqa: ARG001
    text = read_card(_champion.registry, number)
    with TemporaryDirectory() as folder:
        store = artifacts(_champion.registry.client, _champion.version)
        for picture in Path(store.download_artifacts(CARD_FOLDER, folder)).glob("*.png"):
            text = text.replace(f"]({picture.name})", f"]({data_uri(picture.read_bytes())})")
    return text


@st.fragment(run_every=SECONDS)
def follow_champion(shown: int | None) -> None:
    """Draws the page anew when another version has become champion.

    Args:
        shown: The version on the page, None if there is none.
    """
    try:
        now = find_champion().number
    except PipelineError:
        return  # the next interaction shows it
    if now != shown:
        st.rerun()
