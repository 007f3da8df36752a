"""Objects that outlive a process or a machine, by name: in an S3 bucket, or in a folder."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from components.common.errors import StorageError
from components.common.files import replacing

ATTEMPTS = 5
"""How often a call is tried, and a download that breaks off; the waits between are 15 s at most, in all."""
CONNECT_SECONDS, ANSWER_SECONDS = 3, 10
SETTINGS = (
    "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL; "
    "on a cluster: the Secret `fashion-storage` and the ConfigMap `fashion-config`"
)
POD_SETTINGS = (
    "check the keys AWS_… of the Secret fashion-storage, and AWS_ENDPOINT_URL of the ConfigMap fashion-config"
)
REFUSED = frozenset(
    ("AuthFailure", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch")
)


class Storage(Protocol):
    """Objects by name; a name may have slashes in it. All raise `StorageError`."""

    def read(self, name: str) -> bytes | None:
        """The content of an object, None where there is none."""

    def write(self, name: str, content: bytes) -> None:
        """Puts an object there, whole or not at all."""

    def remove(self, name: str) -> None:
        """Removes an object, if it is there, and what a killed writer has left of it."""

    def names(self, prefix: str = "") -> list[str]:
        """The names that begin with a prefix, in order."""

    def place(self, name: str) -> str:
        """What to call an object in a message."""


def open_storage(location: str, client: Any = None) -> Storage:
    """The storage at `s3://BUCKET/PREFIX` (the environment has endpoint and credentials), or in a folder.

    Args:
        location: The one or the other.
        client: Of S3, with settings of its own.

    Raises:
        StorageError: The location is neither, or the settings of S3 in the environment are wrong.
    """
    bucket, _, prefix = location.removeprefix("s3://").partition("/")
    if location.startswith("s3://") and bucket:
        return S3Storage(client or s3_client(), bucket, prefix.strip("/"))
    if location and "://" not in location:
        return FolderStorage(Path(location))
    raise StorageError(
        f"`{location}` is no place to store in",
        "name s3://BUCKET/PREFIX, or a folder",
        "name s3://BUCKET/PREFIX: the state's is FASHION_STATE_URL of the ConfigMap fashion-config, "
        "the DVC remote's is the run's: --param remote=s3://…",
    )


@dataclass(frozen=True)
class FolderStorage:
    """Objects as files of a folder, which is made when it is first written to."""

    folder: Path

    def read(self, name: str) -> bytes | None:
        """The content of a file."""
        with _file_faults(f"read {self.place(name)}"):
            try:
                return (self.folder / name).read_bytes()
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                return None

    def write(self, name: str, content: bytes) -> None:
        """Writes a file beside the old one, and renames it."""
        with _file_faults(f"write {self.place(name)}"), replacing(self.folder / name) as partial:
            partial.write_bytes(content)

    def remove(self, name: str) -> None:
        """Removes the file, and those of a killed `write`."""
        path = self.folder / name
        with _file_faults(f"remove {path}"):
            for found in (path, *path.parent.glob(f".{path.name}.*.partial")):
                found.unlink(missing_ok=True)

    def names(self, prefix: str = "") -> list[str]:
        """The paths of the files, below the folder."""
        with _file_faults(f"list {self.folder}"):
            files = (path for path in self.folder.rglob("*") if path.is_file() and path.suffix != ".partial")
            names = (path.relative_to(self.folder).as_posix() for path in files)
            return sorted(name for name in names if name.startswith(prefix))

    def place(self, name: str) -> str:
        """The path of a file."""
        return str(self.folder / name)


@dataclass(frozen=True)
class S3Storage:
    """Objects below a prefix of a bucket."""

    client: Any
    bucket: str
    prefix: str

    def read(self, name: str) -> bytes | None:
        """Downloads an object, again where the body breaks off: boto repeats its calls, but not that."""
        from botocore.exceptions import HTTPClientError, IncompleteReadError

        attempt = 1
        with s3_faults(f"read {self.place(name)}"):
            while True:
                try:
                    body = self.client.get_object(Bucket=self.bucket, Key=self._key(name))["Body"]
                except self.client.exceptions.NoSuchKey:
                    return None
                try:
                    return bytes(body.read())
                except (HTTPClientError, IncompleteReadError):
                    if attempt == ATTEMPTS:
                        raise
                time.sleep(2 ** (attempt - 2))
                attempt += 1

    def write(self, name: str, content: bytes) -> None:
        """Uploads an object, which is seen when it is whole."""
        with s3_faults(f"write {self.place(name)}"):
            self.client.put_object(Bucket=self.bucket, Key=self._key(name), Body=content)

    def remove(self, name: str) -> None:
        """Deletes an object."""
        with s3_faults(f"remove {self.place(name)}"):
            self.client.delete_object(Bucket=self.bucket, Key=self._key(name))

    def names(self, prefix: str = "") -> list[str]:
        """The keys, below the storage's own prefix."""
        pages = self.client.get_paginator("list_objects_v2")
        with s3_faults(f"list {self.place(prefix)}"):
            found = pages.paginate(Bucket=self.bucket, Prefix=self._key(prefix)).search("Contents[].Key")
            return [key.removeprefix(self._key("")) for key in found if key]

    def place(self, name: str) -> str:
        """The address of an object."""
        return f"s3://{self.bucket}/{self._key(name)}"

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name


def s3_client(region: str | None = None, **credentials: str | None) -> Any:
    """A client of S3, or of what AWS_ENDPOINT_URL names, that gives up within a minute.

    Args:
        region: Instead of AWS_DEFAULT_REGION.
        credentials: Instead of the environment's, as boto calls them: `aws_access_key_id`, …

    Raises:
        StorageError: The settings in the environment are wrong.
    """
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=ANSWER_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        # Servers other than AWS's may not know the newer checksums.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    with s3_faults("use S3"):
        return boto3.Session().client("s3", region_name=region, config=config, **credentials)


def s3_endpoint() -> str | None:
    """The address of the S3 server, None for AWS."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")


@contextmanager
def s3_faults(what: str) -> Iterator[None]:
    """Turns every fault of boto in the block into a `StorageError`.

    Args:
        what: What the block does, as in "cannot read s3://…".
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError, ValueError) as error:  # the last: an endpoint that is no address
        raise s3_fault(error, what) from error


def s3_fault(error: Exception, what: str) -> StorageError:
    """A fault of boto in plain words."""
    from botocore import exceptions as boto

    server, in_pod = s3_endpoint() or "AWS", ""
    if isinstance(error, boto.ClientError):
        code, text = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        if code == "NoSuchBucket":
            reason, hint = "there is no such bucket", "mend its name, or `fashion bucket create NAME`"
            in_pod = (
                "mend its name in FASHION_STATE_URL of the ConfigMap fashion-config, or in the run's DVC "
                "remote; or `fashion bucket create NAME`"
            )
        elif code == "BucketAlreadyExists":
            reason, hint = "there is one of this name, and it is somebody else's", "choose another name"
        elif code in REFUSED:
            reason, hint = f"{server} refuses the credentials ({code})", SETTINGS
            in_pod = POD_SETTINGS
        elif error.response["ResponseMetadata"]["HTTPStatusCode"] == 403:
            reason = f"access is denied ({code})"
            hint = "these credentials may not do that, or the bucket is somebody else's"
            in_pod = (
                "the credentials in the Secret fashion-storage may not do that, or the bucket is another's"
            )
        else:
            reason, hint = f"{server} answers {code}: {text}", "look at the server's log, and try again"
    elif isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError, boto.ProfileNotFound)):
        reason, hint, in_pod = "there are no credentials", SETTINGS, POD_SETTINGS
    elif isinstance(error, (boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError)):
        reason = f"{server} cannot be reached, or broke off ({type(error).__name__})"
        hint = "start it, or mend AWS_ENDPOINT_URL; it is not set for AWS"
        in_pod = "start it, or mend AWS_ENDPOINT_URL of the ConfigMap fashion-config; it is not there for AWS"
    else:
        reason, hint, in_pod = " ".join(str(error).split()), SETTINGS, POD_SETTINGS
    return StorageError(f"cannot {what}: {reason}", hint, in_pod)


@contextmanager
def _file_faults(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"cannot {what}: {error.strerror}",
            "check owner, mode and disk",
            "a pod keeps nothing in a folder: name s3://BUCKET/PREFIX in FASHION_STATE_URL of the ConfigMap "
            "fashion-config",
        ) from error
