"""From root to an unprivileged user: SageMaker starts a container as root, and only its start needs to be."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from pathlib import Path

import contract
from inference.classifier import ModelError

__all__ = ["drop_privileges"]

_FILES = (contract.Artefact.MODEL, contract.Artefact.MODEL_CARD)


def drop_privileges(folder: Path, *, user: str | None) -> Path:
    """Become the user for good, where this process is root's, and return the folder in which that user reads the model.

    AWS asks for a container that runs as root, since the model's files may be root's alone ("Custom Inference Code with
    Hosting Services", SageMaker developer guide). Photos and models come from outside, so that no decoder should run
    with root's rights. Files that the user may not read are copied to a folder of its own; the originals stay as they
    are. Another user than root, or no `user`, changes nothing.

    Raises:
        ModelError: there is no such user, it is root, the process may not become it, or there is no room for a copy.
    """
    if user is None or os.geteuid() != 0:
        return folder
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        raise ModelError(f"there is no user {user} on this machine; set SERVE_USER to a user of /etc/passwd") from None
    if account.pw_uid == 0:
        raise ModelError("the endpoint's server does not run as root; set SERVE_USER to an unprivileged user")

    try:
        readable = folder if _can_read(folder, account) else _copy_for(account, folder)
        os.setgroups([])
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    except OSError as error:
        raise ModelError(
            f"the server cannot become the user {user}: {error}; start the container with the capabilities SETUID and "
            "SETGID, or as another user than root"
        ) from error
    os.environ["HOME"] = account.pw_dir
    return readable


def _can_read(folder: Path, account: pwd.struct_passwd) -> bool:
    """Return whether the user may read the model, asked of the kernel as that user."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(account.pw_gid)
    os.seteuid(account.pw_uid)
    try:
        for name in _FILES:
            (folder / name).open("rb").close()
    except FileNotFoundError:
        # the classifier says which
        return True
    except PermissionError:
        return False
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
    return True


def _copy_for(account: pwd.struct_passwd, folder: Path) -> Path:
    """Copy the model to a new folder that only the user may read."""
    copy = Path(tempfile.mkdtemp(prefix="model-"))
    for name in _FILES:
        # a link stays one, so that a model's author cannot have other files of root's opened
        try:
            shutil.copyfile(folder / name, copy / name, follow_symlinks=False)
        except FileNotFoundError:
            continue  # the classifier says that it is missing
        except OSError as error:
            raise ModelError(f"{name} cannot be copied for {account.pw_name}: {error}; make room in {copy}") from error
        os.chown(copy / name, account.pw_uid, account.pw_gid, follow_symlinks=False)
    os.chown(copy, account.pw_uid, account.pw_gid)
    return copy
