"""Faults of the file system: one line with what to do, and nothing half-written."""

import errno
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from components.common import files
from components.common.errors import StorageError
from components.common.files import as_storage_error, replacing, staged, write_json
from tests.support.project import ROOT, Project, environment_of


def file_for_a_folder(folder: Path) -> Path:
    (folder / "outputs").touch()
    return folder / "outputs" / "train"


def folder_for_a_file(folder: Path) -> Path:
    (folder / "a.json").mkdir()
    return folder / "a.json"


def too_long(folder: Path) -> Path:
    return folder / ("n" * 256) / "a.json"


def loop(folder: Path) -> Path:
    (folder / "loop").symlink_to("loop")
    return folder / "loop" / "a.json"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (file_for_a_folder, "file exists"),
        (folder_for_a_file, "is a directory"),
        (too_long, "file name too long"),
        (loop, "file exists"),
    ],
)
def test_a_path_that_cannot_be_written_is_named_with_what_to_do(
    tmp_path: Path, fault: Callable[[Path], Path], said: str
):
    path = fault(tmp_path)
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(StorageError, match=said) as refused:
        write_json(path, {})
    assert str(tmp_path) in str(refused.value)
    assert refused.value.hint
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    with (
        pytest.raises(StorageError, match="not a directory"),
        staged(file_for_a_folder(tmp_path)),
    ):
        pytest.fail("there is nowhere to write to")


@pytest.mark.parametrize("number", sorted(files.PATH_ERRORS))
def test_a_fault_of_the_path_is_not_taken_for_a_full_disk(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
):
    """A read-only file system, such as an image of one, often has no free space either."""
    monkeypatch.setattr(files, "LOW_SPACE_BYTES", 1 << 62)

    with pytest.raises(StorageError) as refused, replacing(tmp_path / "a"):
        raise OSError(number, os.strerror(number), str(tmp_path / "b"))

    assert str(refused.value) == f"{tmp_path / 'b'}: {os.strerror(number).lower()}"
    assert refused.value.hint == files.PATH_ERRORS[number]


def test_a_library_that_names_no_number_lacks_permission_all_the_same(tmp_path: Path):
    storage = as_storage_error(PermissionError("Access Denied"), tmp_path / "a")
    assert str(storage) == f"{tmp_path / 'a'}: permission denied"


def test_no_folder_for_temporary_files_is_said(tmp_path: Path):
    error = FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")
    storage = as_storage_error(error, tmp_path)
    assert storage
    assert "TMPDIR" in storage.hint


def test_a_fault_of_another_kind_is_not_ours(tmp_path: Path):
    assert as_storage_error(FileNotFoundError(errno.ENOENT, "?", "x"), tmp_path) is None
    assert as_storage_error(ConnectionResetError(errno.ECONNRESET, "?"), tmp_path) is None


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_or_quota_is_said_with_the_space_that_is_left(tmp_path: Path, number: int):
    error = as_storage_error(OSError(number, os.strerror(number)), tmp_path / "out" / "model.keras")

    assert error is not None
    assert str(error).startswith(f"no space left while writing {tmp_path}/out/model.keras: ")
    assert str(error).endswith(f" MB free in {tmp_path}")
    assert "no incomplete file was left" in error.hint


@pytest.fixture
def read_only(subset: Path, tmp_path: Path) -> Project:
    """A project on a file system that is read-only for commands run after its READ_ONLY."""
    root = tmp_path / "project"
    (root / ".dvc").mkdir(parents=True)
    for name in ("params.yaml", "data.dvc", ".dvc/config"):
        shutil.copy(ROOT / name, root / name)
    (root / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n")
    shutil.copytree(subset, root / "data")
    mount = f"mount --bind '{root}' '{root}' && mount -o remount,bind,ro '{root}'"
    own = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    probe = subprocess.run([*own, mount], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip(f"no user namespaces here to mount a folder read-only in: {probe.stderr.decode()}")
    environment = {"PYTHONPATH": str(ROOT), "FASHION_IMAGE": "a/b:1", "READ_ONLY": mount}
    return Project(root, environment_of(root) | environment)


def test_a_read_only_file_system_is_said_in_a_line(read_only: Project):
    for command, place in (
        ("data", ".dvc/tmp"),
        ("data show", "outputs"),
        ("compile", "build"),
    ):
        script = f'{read_only.environment["READ_ONLY"]} && cd "$PWD" && fashion {command}'
        result = read_only.run("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, code=8)
        said, what_to_do = result.stderr.splitlines()
        assert said.startswith(f"error: {read_only.root}/{place}")
        assert said.endswith(": read-only file system")
        assert "a folder that can be written" in what_to_do


@pytest.fixture
def small_disk(project: Project) -> Project:
    """The project with `outputs` on a file system of 700 kB, too small for a model."""
    outputs = project.root / "outputs"
    kept = shutil.copytree(outputs / "validate", project.root / "kept")
    shutil.rmtree(outputs)
    outputs.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(outputs)]
    inside = f"{' '.join(mount)} && cp -r {kept} {outputs}/validate && "
    probe = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", *mount], capture_output=True, check=False
    )
    if probe.returncode:
        pytest.skip(f"no user namespaces here to mount a small disk in: {probe.stderr.decode()}")
    project.environment["ON_SMALL_DISK"] = inside
    return project


@pytest.mark.slow
def test_a_full_disk_is_said_and_leaves_nothing_half_written(small_disk: Project):
    script = small_disk.environment["ON_SMALL_DISK"] + (
        "{ fashion step train; code=$?; ls -A outputs outputs/train; exit $code; }"
    )

    result = small_disk.run("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, code=8)

    assert "no space left" in result.stderr
    assert "Traceback" not in result.stderr
    assert ".train.partial" not in result.stdout
    assert "model.keras" not in result.stdout
