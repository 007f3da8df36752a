"""Creates the S3 bucket of a project: versioned, encrypted, not public, old objects deleted."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from components.common.errors import ParameterError
from components.common.s3 import REFUSED, s3_client, s3_errors

EXPIRE_DAYS, UPLOAD_DAYS = 90, 7
NO_REGION = ("us-east-1", "aws-global", None)
"""Regions that must not be given when a bucket is created."""
PRIVATE = dict.fromkeys(
    ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
)
ENCRYPTED = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
NOT_SUPPORTED = (400, 405, 501)
"""HTTP status of servers for parts of S3 that they do not support."""

Row = tuple[str, str]
Rule = dict[str, Any]


def create_bucket(name: str, region: str | None = None, expire_days: int = EXPIRE_DAYS) -> list[Row]:
    """Creates a bucket, unless it exists, and configures it.

    Settings that are right are not written again. Other encryption keys and lifecycle rules are kept.

    Args:
        name: The bucket.
        region: The region of a new bucket, instead of AWS_DEFAULT_REGION.
        expire_days: After so many days, old versions of objects and all objects below `state/` are deleted.

    Returns:
        Each setting with its state: `created`, `was there`, `set` or `not supported by this endpoint`.

    Raises:
        ParameterError: This is not a valid name of a bucket.
        StorageError: The bucket is somebody else's, or the server refuses or cannot be reached.
    """
    if not re.fullmatch(r"(?!.*\.\.)(?!\d+(\.\d+){3}$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name):
        raise ParameterError(
            f"`{name}` is not a valid name of a bucket",
            "take 3 to 63 of a-z, 0-9, `-` and `.`, as fashion-acme",
        )
    client = s3_client(region)
    with s3_errors(f"set up the bucket {name}"):
        return [
            ("bucket", _create(client, name)),
            *_protect(client, name),
            *_expire(client, name, expire_days),
        ]


def _create(client: Any, name: str) -> str:
    from botocore.exceptions import ClientError

    try:
        client.list_objects_v2(Bucket=name, MaxKeys=1)  # a HEAD request has no error code in its response
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucket":
            raise
    else:
        return "was there"
    region = client.meta.region_name
    place = {} if region in NO_REGION else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    client.create_bucket(Bucket=name, **place)
    client.get_waiter("bucket_exists").wait(Bucket=name)
    return "created"


def _protect(client: Any, name: str) -> Iterator[Row]:
    status = _read(client.get_bucket_versioning, name).get("Status")
    write = partial(client.put_bucket_versioning, Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    yield "versioning", _state(status == "Enabled", write)

    found = _read(client.get_bucket_encryption, name).get("ServerSideEncryptionConfiguration", {})
    write = partial(client.put_bucket_encryption, Bucket=name, ServerSideEncryptionConfiguration=ENCRYPTED)
    yield "encryption", _state(bool(found.get("Rules")), write)

    found = _read(client.get_public_access_block, name).get("PublicAccessBlockConfiguration", {})
    write = partial(client.put_public_access_block, Bucket=name, PublicAccessBlockConfiguration=PRIVATE)
    yield "no public access", _state(PRIVATE.items() <= found.items(), write)


def _expire(client: Any, name: str, days: int) -> Iterator[Row]:
    """Sets lifecycle rules one by one, as a server may support only some; each call replaces all rules."""
    rules: list[Rule] = _read(client.get_bucket_lifecycle_configuration, name).get("Rules", [])
    old_versions = {
        "NoncurrentVersionExpiration": {"NoncurrentDays": days},
        "Expiration": {"ExpiredObjectDeleteMarker": True},
    }
    uploads = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": UPLOAD_DAYS}}
    # Each epoch writes a new version of the state; the older ones are not needed.
    state = {"Expiration": {"Days": days}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}
    for setting, rule_id, prefix, actions in (
        (f"old versions deleted after {days} days", "fashion-versions", "", old_versions),
        (f"unfinished uploads deleted after {UPLOAD_DAYS} days", "fashion-uploads", "", uploads),
        (f"state/ deleted after {days} days", "fashion-state", "state/", state),
    ):
        rule = {"ID": rule_id, "Status": "Enabled", "Filter": {"Prefix": prefix}, **actions}
        changed = [*(other for other in rules if other.get("ID") != rule_id), rule]
        write = partial(
            client.put_bucket_lifecycle_configuration, Bucket=name, LifecycleConfiguration={"Rules": changed}
        )
        result = _state(any(_comparable(found) == _comparable(rule) for found in rules), write)
        if result == "set":
            rules = changed
        yield setting, result


def _comparable(rule: Rule) -> Rule:
    """A rule with its prefix at the top; servers return the prefix there or in the filter."""
    prefix = rule.get("Filter", {}).get("Prefix") or rule.get("Prefix") or ""
    return {name: rule[name] for name in rule.keys() - {"Filter", "Prefix"}} | {"prefix": prefix}


def _read(call: Callable[..., dict[str, Any]], name: str) -> dict[str, Any]:
    """A setting of a bucket; empty if it is not set or not supported."""
    from botocore.exceptions import ClientError

    try:
        return call(Bucket=name)
    except ClientError as error:
        if _status(error) == 404 or _not_supported(error):
            return {}
        raise


def _state(is_set: bool, write: Callable[[], Any]) -> str:
    """Writes a setting unless it `is_set`, and returns its state."""
    from botocore.exceptions import ClientError

    if is_set:
        return "was there"
    try:
        write()
    except ClientError as error:
        if _not_supported(error):
            return f"not supported by this endpoint ({error.response['Error']['Code']})"
        raise
    return "set"


def _not_supported(error: Any) -> bool:
    return _status(error) in NOT_SUPPORTED and error.response["Error"]["Code"] not in REFUSED


def _status(error: Any) -> int:
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
