"""The bucket of a project: made, versioned, encrypted, closed to the public, and cleared of old objects."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from components.common.errors import ParameterError
from components.common.s3 import REFUSED, s3_client, s3_errors

EXPIRE_DAYS, UPLOAD_DAYS = 90, 7
NO_REGION = ("us-east-1", "aws-global", None)
"""Of a client whose buckets must not name their region."""
CLOSED = dict.fromkeys(
    ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
)
ENCRYPTED = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
NOT_SUPPORTED = (400, 405, 501)
"""How a server that knows but a part of S3 answers to the rest."""

Row = tuple[str, str]
Rule = dict[str, Any]


def create_bucket(name: str, region: str | None = None, expire_days: int = EXPIRE_DAYS) -> list[Row]:
    """Makes a bucket and sets it up; what is right already is not written again.

    Encryption by a key of one's own and lifecycle rules of others are left alone.

    Args:
        name: The bucket.
        region: Where a new bucket lies, instead of AWS_DEFAULT_REGION.
        expire_days: When objects below `state/`, and old versions of any object, are deleted.

    Returns:
        Each setting with its state: `created`, `was there`, `set` or `not supported by this endpoint`.

    Raises:
        ParameterError: No bucket can have this name.
        StorageError: The bucket is somebody else's, or the server refuses or cannot be reached.
    """
    if not re.fullmatch(r"(?!.*\.\.)(?!\d+(\.\d+){3}$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name):
        raise ParameterError(
            f"no bucket can have the name `{name}`", "take 3 to 63 of a-z, 0-9, `-` and `.`, as fashion-acme"
        )
    client = s3_client(region)
    with s3_errors(f"set up the bucket {name}"):
        made = ("bucket", _make(client, name))
        return [made, *_protect(client, name), *_clear(client, name, expire_days)]


def _make(client: Any, name: str) -> str:
    from botocore.exceptions import ClientError

    try:
        client.list_objects_v2(Bucket=name, MaxKeys=1)  # HEAD would not say why it is refused
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
    write = partial(client.put_public_access_block, Bucket=name, PublicAccessBlockConfiguration=CLOSED)
    yield "no public access", _state(CLOSED.items() <= found.items(), write)


def _clear(client: Any, name: str, days: int) -> Iterator[Row]:
    """Rule by rule, because a server may know one and not another; each call replaces them all."""
    rules: list[Rule] = _read(client.get_bucket_lifecycle_configuration, name).get("Rules", [])
    ours = {
        f"old versions deleted after {days} days": _rule(
            "versions",
            NoncurrentVersionExpiration={"NoncurrentDays": days},
            Expiration={"ExpiredObjectDeleteMarker": True},
        ),
        f"unfinished uploads deleted after {UPLOAD_DAYS} days": _rule(
            "uploads", AbortIncompleteMultipartUpload={"DaysAfterInitiation": UPLOAD_DAYS}
        ),
        f"state/ deleted after {days} days": _rule(  # each epoch's is a version: the old are of no use
            "state",
            "state/",
            Expiration={"Days": days},
            NoncurrentVersionExpiration={"NoncurrentDays": 1},
        ),
    }
    for setting, rule in ours.items():
        changed = [*(other for other in rules if other.get("ID") != rule["ID"]), rule]
        write = partial(
            client.put_bucket_lifecycle_configuration, Bucket=name, LifecycleConfiguration={"Rules": changed}
        )
        state = _state(any(_meaning(found) == _meaning(rule) for found in rules), write)
        if state == "set":
            rules = changed
        yield setting, state


def _rule(name: str, prefix: str = "", **actions: dict[str, int]) -> Rule:
    return {"ID": f"fashion-{name}", "Status": "Enabled", "Filter": {"Prefix": prefix}, **actions}


def _meaning(rule: Rule) -> Rule:
    """A rule as it can be compared: servers give it back with the prefix here or there."""
    prefix = rule.get("Filter", {}).get("Prefix") or rule.get("Prefix") or ""
    return {name: rule[name] for name in rule.keys() - {"Filter", "Prefix"}} | {"prefix": prefix}


def _read(call: Callable[..., dict[str, Any]], name: str) -> dict[str, Any]:
    """A setting, empty where there is none or the server knows of none."""
    from botocore.exceptions import ClientError

    try:
        return call(Bucket=name)
    except ClientError as error:
        if _status(error) == 404 or _not_supported(error):
            return {}
        raise


def _state(there: bool, write: Callable[[], Any]) -> str:
    """Writes a setting that is not there, and says what became of it."""
    from botocore.exceptions import ClientError

    if there:
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
