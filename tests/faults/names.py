"""Names that a shell, a path or a line of a log could take for something else."""

import shutil
from collections.abc import Iterator
from itertools import product

from tests.faults.bench import Bench, Ran, Round, run
from tests.support.project import Project, environment_of

SHELL = "a $(touch RAN) `touch RAN`; touch RAN & 'b' \"c\" * | ?d=%41#e"
NAMES = (SHELL, "../../up", "two\nlines", "x" * 10_000)


def parameters(bench: Bench, rounds: int) -> Iterator[Round]:
    """As name of the registered model and of the experiment."""
    for (section, key), name in product((("register", "model_name"), ("tracking", "experiment")), NAMES):
        project = bench.restore()
        before = (project.root / "params.yaml").read_text()
        project.change(section, key, name)
        ran = run(project, "fashion", "step", "register")
        (project.root / "params.yaml").write_text(before)
        # A name that is taken literally has runs and versions of its own.
        yield _checked(bench, project, ran, aside=("run", "epoch", "logged model"))


def arguments(bench: Bench, rounds: int) -> Iterator[Round]:
    """As `--param` of a pipeline for a cluster."""
    for key, name in product(("model", "remote", "data_version", "experiment"), NAMES):
        project = bench.restore()
        ran = run(project, "fashion", "compile", "--image", "host/image:1", "--param", f"{key}={name}")
        yield _checked(bench, project, ran)


def data_folders(bench: Bench, rounds: int) -> Iterator[Round]:
    """As name of the folder of a data set."""
    for name in NAMES:
        project, folder = bench.restore(), bench.work / "sets" / name.replace("../", "..")
        if len(name) < 255:  # a longer name is one of no folder
            shutil.copytree(bench.work / "subset", folder, dirs_exist_ok=True)
        yield _checked(bench, project, run(project, "fashion", "data", "adopt", str(folder)))


def project_folders(bench: Bench, rounds: int) -> Iterator[Round]:
    """As name of the project's own folder. One that is refused is renamed."""
    for name in ("o'brien", SHELL.replace("'", ""), "..up", "two\nlines", "x" * 255):
        project = bench.restore("validate", bench.work / name)
        ran = run(project, "fashion", "run")
        if ran.code:
            shutil.rmtree(bench.root, ignore_errors=True)
            project = Project(project.root.rename(bench.root), environment_of(bench.root))
        yield _checked(bench, project, ran)
        shutil.rmtree(project.root)


def _checked(bench: Bench, project: Project, ran: Ran, aside: tuple[str, ...] = ()) -> Round:
    assert not list(bench.work.rglob("RAN")), ran.output
    return Round(project, ran, aside=aside)


FAULTS = {
    "hostile names of model and experiment": parameters,
    "hostile --param of KFP": arguments,
    "hostile names of data folders": data_folders,
    "hostile names of the project's folder": project_folders,
}
