"""A DVC remote in S3 that is out of reach, slow, breaks off, or has other bytes."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from components.common.s3 import s3_client
from tests.faults.bench import Bench, Fault, Round, run, with_variables
from tests.support.s3_server import NO_KEYS, Proxy, serving_s3, set_environment


def s3(fail: Callable[[Proxy], object], recover: Callable[[Proxy], object]) -> Fault:
    """The data, lost in the project, is in the remote alone."""

    def fault(bench: Bench, rounds: int) -> Iterator[Round]:
        with (
            TemporaryDirectory() as folder,
            serving_s3(Path(folder) / "log") as server,
            set_environment(NO_KEYS | server.environment),
        ):
            for _ in range(rounds):
                bucket = f"faults-{uuid.uuid4().hex[:8]}"
                s3_client().create_bucket(Bucket=bucket)
                proxy = Proxy(int(server.url.rpartition(":")[2]))
                proxy.rise()
                project = with_variables(
                    bench.restore(), **server.environment | {"AWS_ENDPOINT_URL": proxy.url}
                )
                project.run("dvc", "remote", "add", "--local", "--default", "store", f"s3://{bucket}/dvc")
                project.run("dvc", "push", "--quiet", "data.dvc")
                for name in ("data", ".dvc/cache"):
                    shutil.rmtree(project.root / name)
                fail(proxy)
                ran = run(project, "fashion", "run")
                recover(proxy)
                yield Round(project, ran, go_on=("fashion", "run"))
                proxy.die()

    return fault


def setting(name: str, fault: object, normal: object) -> Fault:
    """A proxy's attribute, until the command has ended."""
    return s3(lambda proxy: setattr(proxy, name, fault), lambda proxy: setattr(proxy, name, normal))


FAULTS = {
    "S3 unreachable": s3(Proxy.die, Proxy.rise),
    "S3 slow: 2 s an answer": setting("seconds", 2, 0),
    "S3 corrupt: a bit of each object": setting("flipped", 10**9, 0),
    "S3 breaks off each download": setting("broken", 10**9, 0),
}
