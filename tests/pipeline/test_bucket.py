"""`fashion bucket create`, on a real S3 server that knows all, a part, or nothing of us."""

import subprocess
import sys
import uuid
from typing import Any

import pytest

from components.common.errors import ExitCode, ParameterError, StorageError
from components.common.s3 import s3_client
from pipeline.bucket import create_bucket
from pipeline.cli.bucket import bucket as bucket_group
from pipeline.cli.main import run_command
from tests.support.ports import free_port
from tests.support.s3_server import Keys, Proxy, S3Server, set_environment

pytest_plugins = ("tests.support.s3_server",)

SETTINGS = [
    "bucket",
    "versioning",
    "encryption",
    "no public access",
    "old versions deleted after 90 days",
    "unfinished uploads deleted after 7 days",
    "state/ deleted after 90 days",
]


@pytest.fixture
def name(s3: S3Server) -> str:
    """The name of a bucket that is not there."""
    return f"fashion-{uuid.uuid4().hex[:8]}"


def rules_of(name: str) -> dict[str, dict[str, Any]]:
    found = s3_client().get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    return {rule.pop("ID"): rule for rule in found}


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Runs `fashion bucket`; returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["fashion bucket", *arguments])
    try:
        run_command(bucket_group)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_a_new_bucket_is_made_and_set_up_and_the_second_call_writes_nothing(name: str, proxy: Proxy):
    assert create_bucket(name) == [(SETTINGS[0], "created"), *((setting, "set") for setting in SETTINGS[1:])]

    client = s3_client()
    assert client.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    (encryption,) = client.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    assert encryption["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert client.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": True,
        "RestrictPublicBuckets": True,
    }
    everywhere = {"Status": "Enabled", "Filter": {"Prefix": ""}}
    assert rules_of(name) == {
        "fashion-versions": everywhere
        | {
            "NoncurrentVersionExpiration": {"NoncurrentDays": 90},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
        },
        "fashion-uploads": everywhere | {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}},
        "fashion-state": {
            "Status": "Enabled",
            "Filter": {"Prefix": "state/"},
            "Expiration": {"Days": 90},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
        },
    }

    proxy.seen.clear()
    assert create_bucket(name) == [(setting, "was there") for setting in SETTINGS]
    assert {method for method, _ in proxy.seen} == {"GET"}


def test_what_others_have_set_up_is_kept_and_only_what_changes_is_written(bucket: str, name: str):
    client = s3_client()
    key = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "ours"}
    client.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": key}]},
    )
    foreign = {"Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 3}}
    client.put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration={"Rules": [foreign | {"ID": "logs"}]}
    )

    rows = dict(create_bucket(bucket))

    assert (rows["bucket"], rows["encryption"], rows["versioning"]) == ("was there", "was there", "set")
    (encryption,) = client.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert encryption["ApplyServerSideEncryptionByDefault"] == key
    assert rules_of(bucket).keys() == {"logs", "fashion-versions", "fashion-uploads", "fashion-state"}
    assert rules_of(bucket)["logs"] == foreign

    changed = [setting for setting, state in create_bucket(bucket, expire_days=30) if state == "set"]

    assert changed == ["old versions deleted after 30 days", "state/ deleted after 30 days"]
    assert rules_of(bucket)["fashion-state"]["Expiration"] == {"Days": 30}
    assert rules_of(bucket)["fashion-versions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert rules_of(bucket)["logs"] == foreign


def test_what_the_server_does_not_know_is_said_and_the_rest_is_done(
    name: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    proxy.refused = {
        "encryption": (501, "NotImplemented"),
        "publicAccessBlock": (405, "MethodNotAllowed"),
        "NoncurrentVersionExpiration": (400, "MalformedXML"),
    }

    assert command(monkeypatch, "create", name) == 0

    states = [line.split("  ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert {words[0]: words[-1].strip() for words in states} == dict(
        zip(
            SETTINGS,
            (
                "created",
                "set",
                "not supported by this endpoint (NotImplemented)",
                "not supported by this endpoint (MethodNotAllowed)",
                "not supported by this endpoint (MalformedXML)",
                "set",
                "not supported by this endpoint (MalformedXML)",
            ),
            strict=True,
        )
    )
    assert rules_of(name).keys() == {"fashion-uploads"}
    assert s3_client().get_bucket_versioning(Bucket=name)["Status"] == "Enabled"


def test_a_bucket_of_somebody_else_is_refused(
    bucket: str,
    stranger: Keys,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    with set_environment(stranger):
        assert command(monkeypatch, "create", bucket) == ExitCode.STORAGE
        message, hint = capsys.readouterr().err.splitlines()
        assert message == f"error: cannot set up the bucket {bucket}: access is denied (AccessDenied)"
        assert "somebody else's" in hint

        # Between the look and the call that makes it, somebody else was faster.
        proxy.refused = {
            "list-type=2&max-keys=1&encoding-type=url": (404, "NoSuchBucket"),
            "LocationConstraint": (409, "BucketAlreadyExists"),
        }
        with pytest.raises(StorageError, match=r"a bucket of this name belongs to somebody else"):
            create_bucket(bucket, "eu-west-3")


@pytest.mark.parametrize(
    ("region", "expected"), [(None, None), ("us-east-1", None), ("eu-west-3", "eu-west-3")]
)
def test_a_bucket_lies_where_it_is_told_to(name: str, region: str | None, expected: str | None):
    create_bucket(name, region)

    assert s3_client().get_bucket_location(Bucket=name)["LocationConstraint"] == expected


@pytest.mark.parametrize(
    "wrong",
    ["ab", "x" * 64, "Fashion", "fashion_mnist", "-fashion", "fashion-", "a..b", "10.0.0.1", "a/b", "a\n"],
)
def test_a_name_that_no_bucket_can_have_is_refused_before_anything(
    s3: S3Server, wrong: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")

    with pytest.raises(ParameterError, match="is not a valid name of a bucket"):
        create_bucket(wrong)


def test_faults_of_the_environment_are_one_line_and_an_exit_code(
    name: str, user: Keys, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert command(monkeypatch, "create", name) == ExitCode.STORAGE
    assert "refuses the credentials (InvalidAccessKeyId)" in capsys.readouterr().err.splitlines()[0]
    assert command(monkeypatch, "create", "A") == ExitCode.PARAMETERS
    assert command(monkeypatch, "create", name, "--expire-days", "0") == ExitCode.USAGE
    with set_environment(user):
        assert command(monkeypatch, "create", name, "--region", "eu-west-3") == 0


def test_the_command_line_does_not_wait_for_boto():
    script = "import sys, pipeline.cli.bucket; sys.exit('boto3' in sys.modules or 'botocore' in sys.modules)"

    subprocess.run([sys.executable, "-c", script], check=True)
