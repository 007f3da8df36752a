"""MLflow's model registry in memory: the calls that `Registry` and `find_version` make of `MlflowClient`.

`tests/components/registry/test_registry.py` holds it against a real server.
"""

import re
from dataclasses import dataclass, field

from mlflow.entities.model_registry import (
    ModelVersion,
    ModelVersionTag,
    RegisteredModel,
    RegisteredModelAlias,
)
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST
from mlflow.store.entities import PagedList


@dataclass
class _Version:
    number: int
    source: str
    run_id: str
    description: str
    tags: dict[str, str]


@dataclass
class _Model:
    versions: dict[int, _Version] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    last: int = 0


class RegistryModel:
    """The registry. Each call happens at once and whole, as a transaction of the server's database does.

    Args:
        page_size: Versions on a page of a search; the server's pages have 10,000.
    """

    def __init__(self, page_size: int = 3) -> None:
        self.page_size = page_size
        self.models: dict[str, _Model] = {}

    def create_registered_model(self, name: str) -> None:
        if name in self.models:
            raise MlflowException(f"{name} exists", RESOURCE_ALREADY_EXISTS)
        self.models[name] = _Model()

    def get_registered_model(self, name: str) -> RegisteredModel:
        aliases = [RegisteredModelAlias(alias, str(n)) for alias, n in self._model(name).aliases.items()]
        return RegisteredModel(name, aliases=aliases)

    def create_model_version(
        self,
        name: str,
        source: str,
        run_id: str = "",
        tags: dict[str, str] | None = None,
        description: str = "",
        model_id: str = "",
    ) -> ModelVersion:
        if of_version := re.fullmatch("models:/(.*)/([0-9]+)", source):
            self._version(of_version[1], of_version[2])
        model = self._model(name)
        model.last += 1
        model.versions[model.last] = _Version(model.last, source, run_id, description, dict(tags or {}))
        return _entity(name, model.versions[model.last])

    def search_model_versions(self, filter_string: str, page_token: str | None = None) -> PagedList:
        """The versions, the newest first."""
        condition = re.fullmatch(r"name = '(.*?)'(?: and tag\.(\w+) = '(.*)')?", filter_string)
        assert condition, filter_string
        name, tag, value = condition.groups()
        found = self.models[name].versions if name in self.models else {}
        last = int(page_token) if page_token else max(found, default=0) + 1
        newest = sorted((v for v in found.values() if v.number < last), key=lambda v: -v.number)
        chosen = [v for v in newest if not tag or v.tags.get(tag) == value]
        page = chosen[: self.page_size]
        token = str(page[-1].number) if len(page) < len(chosen) else None
        return PagedList([_entity(name, v) for v in page], token)

    def get_model_version_download_uri(self, name: str, version: str) -> str:
        return self._version(name, version).source

    def set_model_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        self._version(name, version).tags[key] = value

    def delete_model_version(self, name: str, version: str) -> None:
        number = self._version(name, version).number
        model = self.models[name]
        del model.versions[number]
        model.aliases = {alias: n for alias, n in model.aliases.items() if n != number}

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        self.models[name].aliases[alias] = self._version(name, version).number

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        self._model(name).aliases.pop(alias, None)

    def _model(self, name: str) -> _Model:
        if name not in self.models:
            raise MlflowException(f"{name} does not exist", RESOURCE_DOES_NOT_EXIST)
        return self.models[name]

    def _version(self, name: str, version: str) -> _Version:
        model = self._model(name)
        if int(version) not in model.versions:
            raise MlflowException(f"{name} has no version {version}", RESOURCE_DOES_NOT_EXIST)
        return model.versions[int(version)]


def _entity(name: str, version: _Version) -> ModelVersion:
    return ModelVersion(
        name,
        str(version.number),
        creation_timestamp=version.number,
        description=version.description,
        source=version.source,
        run_id=version.run_id,
        tags=[ModelVersionTag(key, value) for key, value in version.tags.items()],
    )
