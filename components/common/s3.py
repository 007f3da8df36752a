"""Objects in an S3 bucket, and the faults of boto in plain words."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from components.common.errors import StorageError

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
