"""Objects in an S3 bucket, and errors of boto as `StorageError`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from components.common.errors import StorageError

ATTEMPTS = 5
"""Attempts of a request, and of a download that breaks off; all waits between them are 15 s at most."""
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
"""Error codes of wrong credentials."""


class Entry(NamedTuple):
    """An object in a list: its name, its size in bytes, and what changes with its content."""

    name: str
    size: int
    version: str


@dataclass(frozen=True)
class S3Storage:
    """Objects below a prefix of a bucket."""

    client: Any
    bucket: str
    prefix: str

    def read(self, name: str) -> bytes | None:
        """Downloads an object, None if it does not exist."""
        from botocore.exceptions import HTTPClientError, IncompleteReadError

        attempt = 1
        with s3_errors(f"read {self.place(name)}"):
            while True:
                try:
                    body = self.client.get_object(Bucket=self.bucket, Key=self._key(name))["Body"]
                except self.client.exceptions.NoSuchKey:
                    return None
                try:
                    return bytes(body.read())
                except (HTTPClientError, IncompleteReadError):  # boto repeats requests, but not this
                    if attempt == ATTEMPTS:
                        raise
                time.sleep(2 ** (attempt - 2))
                attempt += 1

    def write(self, name: str, content: bytes) -> None:
        """Uploads an object."""
        with s3_errors(f"write {self.place(name)}"):
            self.client.put_object(Bucket=self.bucket, Key=self._key(name), Body=content)

    def remove(self, name: str) -> None:
        """Deletes an object."""
        with s3_errors(f"remove {self.place(name)}"):
            self.client.delete_object(Bucket=self.bucket, Key=self._key(name))

    def names(self, prefix: str = "") -> list[str]:
        """Lists the keys that begin with `prefix`, relative to the storage's own prefix."""
        pages = self.client.get_paginator("list_objects_v2")
        with s3_errors(f"list {self.place(prefix)}"):
            found = pages.paginate(Bucket=self.bucket, Prefix=self._key(prefix)).search("Contents[].Key")
            return [key.removeprefix(self._key("")) for key in found if key]

    def entries(self) -> Iterator[Entry]:
        """The objects, page by page; the version of one is its ETag."""
        pages = self.client.get_paginator("list_objects_v2")
        with s3_errors(f"list {self.place('')}"):
            for page in pages.paginate(Bucket=self.bucket, Prefix=self._key("")):
                for found in page.get("Contents", ()):
                    name = found["Key"].removeprefix(self._key(""))
                    yield Entry(name, found["Size"], found["ETag"].strip('"'))

    def place(self, name: str) -> str:
        """The URL of an object."""
        return f"s3://{self.bucket}/{self._key(name)}"

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name


def s3_client(region: str | None = None, **credentials: str | None) -> Any:
    """A client of S3, or of the server at AWS_ENDPOINT_URL, that gives up within a minute.

    Args:
        region: Overrides AWS_DEFAULT_REGION.
        credentials: Override those of the environment: `aws_access_key_id`, …

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
    with s3_errors("use S3"):
        return boto3.Session().client("s3", region_name=region, config=config, **credentials)


@contextmanager
def s3_errors(action: str) -> Iterator[None]:
    """Converts errors of boto to `StorageError`; `action` completes the message "cannot …"."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError, ValueError) as error:  # ValueError: the endpoint is not a URL
        raise s3_error(error, action) from error


def s3_error(error: Exception, action: str) -> StorageError:
    """The `StorageError` for an error of boto."""
    from botocore import exceptions as boto

    server = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "AWS"
    in_pod = ""
    if isinstance(error, boto.ClientError):
        code, text = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        if code == "NoSuchBucket":
            reason, hint = "there is no such bucket", "correct its name, or `fashion bucket create NAME`"
            in_pod = (
                "correct its name in FASHION_STATE_URL of the ConfigMap fashion-config, or in the run's DVC "
                "remote; or `fashion bucket create NAME`"
            )
        elif code == "BucketAlreadyExists":
            reason, hint = "a bucket of this name belongs to somebody else", "choose another name"
        elif code in REFUSED:
            reason, hint, in_pod = f"{server} refuses the credentials ({code})", SETTINGS, POD_SETTINGS
        elif error.response["ResponseMetadata"]["HTTPStatusCode"] == 403:
            reason = f"access is denied ({code})"
            hint = "these credentials may not do that, or the bucket is somebody else's"
            in_pod = (
                "the credentials in the Secret fashion-storage may not do that, or the bucket is "
                "somebody else's"
            )
        else:
            reason, hint = f"{server} answers {code}: {text}", "look at the server's log, and try again"
    elif isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError, boto.ProfileNotFound)):
        reason, hint, in_pod = "there are no credentials", SETTINGS, POD_SETTINGS
    elif isinstance(error, (boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError)):
        reason = f"{server} cannot be reached, or broke off ({type(error).__name__})"
        hint = "start it, or correct AWS_ENDPOINT_URL; for AWS, remove it"
        in_pod = "start it, or correct AWS_ENDPOINT_URL of the ConfigMap fashion-config; for AWS, remove it"
    else:
        reason, hint, in_pod = " ".join(str(error).split()), SETTINGS, POD_SETTINGS
    return StorageError(f"cannot {action}: {reason}", hint, in_pod)
