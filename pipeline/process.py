"""What a process takes over from its surroundings, settled before anything is done with it."""

import os
import pwd

GIT_VARIABLES = frozenset(
    (
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_CONFIG",
        "GIT_CONFIG_COUNT",
        "GIT_CONFIG_PARAMETERS",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    )
)
"""`git rev-parse --local-env-vars`: a git hook has them set, and then they speak of the hook's repository."""
NO_HOME = "/nonexistent"
"""Debian's home of users who have none: nothing of another user is read from there, and nothing written."""


def settle_process() -> None:
    """Makes git look at the folder that it runs in, and gives a user id without an account a name and a home.

    All processes that are started later inherit it. DVC and MLflow ask for the user's name, and both and
    others for a home folder, which need not exist.
    """
    for name in GIT_VARIABLES:
        os.environ.pop(name, None)
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        for name, value in (("LOGNAME", str(os.getuid())), ("HOME", NO_HOME)):
            os.environ[name] = os.environ.get(name) or value
