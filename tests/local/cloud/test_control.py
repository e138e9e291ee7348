"""Starting, finding and stopping the local cloud."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from local import control


def cloud_of(state: Path) -> control.Cloud:
    return control.Cloud(port=4566, pid=1, state=state, access_key="AKIAOFTHISSTART", secret_key="secret")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "state"
    control.stop(tmp_path / "state")


def test_a_second_start_finds_the_running_cloud(state: Path) -> None:
    first = control.start(state)
    assert control.start(state) == first
    assert control.running(state) == first
    assert json.loads((state / "cloud.json").read_text())["pid"] == first.pid


def test_another_port_for_a_running_cloud_is_refused(state: Path) -> None:
    first = control.start(state)
    with pytest.raises(control.CloudError, match=f"runs on port {first.port}"):
        control.start(state, first.port + 1)


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("WHIPPET_CLOCK_SPEED", "12", "1"),
        ("WHIPPET_START_TIMES", "aws", "none"),
        ("WHIPPET_STOP_GRACE", "120", "3"),
        ("WHIPPET_PERMISSION_LOG", "log", "no value"),
    ],
)
def test_a_running_cloud_does_not_pass_over_what_counts_at_its_start_alone(
    state: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, found: str
) -> None:
    first = control.start(state)
    monkeypatch.setenv(name, value)
    with pytest.raises(control.CloudError, match=f"{name} is {value}, but .* was started with {found}; stop it first"):
        control.start(state)

    control.stop(state)
    again = control.start(state)
    assert control.start(state) == again
    assert again != first
    monkeypatch.delenv(name)
    assert control.start(state) == again, "who asks for nothing takes the cloud that runs"


def test_the_address_is_the_same_at_each_start(state: Path) -> None:
    """Scripts and settings that name it go on working."""
    first = control.start(state).port
    control.stop(state)
    assert control.start(state).port == first


def test_a_port_that_somebody_else_has_is_passed_over(state: Path) -> None:
    state.mkdir()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        (state / "cloud.port").write_text(str(taken))
        assert control.start(state).port != taken


def test_the_port_can_be_set(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    monkeypatch.setenv("WHIPPET_PORT", str(free))
    assert control.start(state).port == free
    monkeypatch.setenv("WHIPPET_PORT", "http")
    with pytest.raises(control.CloudError, match="WHIPPET_PORT=http is no port; give a number from 1 to 65535"):
        control.start(state)


def test_a_state_folder_that_is_a_file_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(control.CloudError, match="is not a folder, but the local cloud keeps its state there"):
            control.start(place)


def test_a_state_folder_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    """A full disk, for root as for anybody; a folder of somebody else's reads the same."""
    full = tmp_path / "full"
    full.mkdir()
    (full / "cloud.lock").symlink_to("/dev/full")
    with pytest.raises(control.CloudError, match="No space left on device; make room or give yourself"):
        control.start(full)


def test_stop_ends_the_server_and_says_whether_there_was_one(state: Path) -> None:
    assert control.stop(state) is False
    cloud = control.start(state)
    assert control.stop(state) is True
    assert control.running(state) is None
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", cloud.port)) != 0
    assert control.stop(state) is False


def test_a_record_of_a_dead_server_is_no_running_cloud(state: Path) -> None:
    state.mkdir()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (state / "cloud.json").write_text(json.dumps({"port": 9, "pid": dead.pid, "started": 0}))
    assert control.running(state) is None
    assert control.stop(state) is False


def test_a_record_that_names_somebody_elses_process_is_no_running_cloud(state: Path) -> None:
    """The number of a process that died may be given to another, which must not be stopped."""
    cloud = control.start(state)
    record = json.loads((state / "cloud.json").read_text())
    (state / "cloud.json").write_text(json.dumps(record | {"pid": os.getpid()}))
    try:
        assert control.running(state) is None
        assert control.stop(state) is False
    finally:
        (state / "cloud.json").write_text(json.dumps(record))
    assert control.running(state) == cloud


def test_a_taken_port_is_reported_with_the_servers_own_words(state: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(control.CloudError, match=f"cannot serve on 127.0.0.1:{port}"):
            control.start(state, port)
    assert control.running(state) is None


def test_a_missing_environment_says_how_to_make_it(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHIPPET_ENVIRONMENTS", str(tmp_path / "nowhere"))
    with pytest.raises(control.CloudError, match="make setup"):
        control.start(state)


def test_only_loopback_is_listened_on(state: Path) -> None:
    cloud = control.start(state)
    assert _listening(cloud.pid) == {("0100007F", cloud.port)}


def test_the_environment_holds_nothing_of_the_users_account(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://s3.amazonaws.com")
    environment = cloud_of(state).environment()
    assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"} & set(environment)
    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
    control.refuse_real_aws(environment)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"AWS_ENDPOINT_URL": ""}, "AWS_ENDPOINT_URL is not set"),
        ({"AWS_ENDPOINT_URL": "https://sts.amazonaws.com"}, "is not on this machine"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1.example.com:1"}, "is not on this machine"),
        ({"AWS_ENDPOINT_URL_S3": "http://10.0.0.1:4566"}, "AWS_ENDPOINT_URL_S3"),
        ({"AWS_PROFILE": "production"}, "AWS_PROFILE"),
        ({"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"),
    ],
)
def test_whatever_leads_to_the_real_aws_is_refused(change: dict[str, str], named: str, tmp_path: Path) -> None:
    environment = cloud_of(tmp_path).environment()
    with pytest.raises(control.RealAwsRefusedError, match=named):
        control.refuse_real_aws(environment | change)


def test_no_process_and_no_file_of_the_server_survives_a_stop(state: Path) -> None:
    cloud = control.start(state)
    _invoke_a_function(cloud)
    children = _descendants(cloud.pid)
    assert children, "the function's worker should be running"
    control.stop(state)
    deadline = time.monotonic() + 10
    while alive := [pid for pid in children if _alive(pid)]:
        assert time.monotonic() < deadline, f"still running: {alive}"
        time.sleep(0.05)
    assert {path.name for path in state.iterdir()} == {"cloud.lock", "cloud.log", "cloud.port"}


def _invoke_a_function(cloud: control.Cloud) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("index.py", "def handler(event, context): return event")
    session = boto3.Session(
        aws_access_key_id=cloud.access_key, aws_secret_access_key=cloud.secret_key, region_name="us-east-1"
    )
    iam = session.client("iam", endpoint_url=cloud.endpoint_url)
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName="function", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    functions = session.client("lambda", endpoint_url=cloud.endpoint_url)
    functions.create_function(
        FunctionName="echo",
        Runtime="python3.13",
        Handler="index.handler",
        Role=role,
        Code={"ZipFile": archive.getvalue()},
    )
    answer = functions.invoke(FunctionName="echo", Payload=b'{"a": 1}')
    assert json.load(answer["Payload"]) == {"a": 1}


def _listening(pid: int) -> set[tuple[str, int]]:
    """Addresses (as /proc/net/tcp writes them) and ports this process listens on, over IPv4 and IPv6."""
    sockets = {link.readlink().name for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            address, _, port = fields[1].rpartition(":")
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                found.add((address, int(port, 16)))
    return found


def _descendants(pid: int) -> list[int]:
    children = [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in _children(task)]
    return children + [further for child in children for further in _descendants(child)]


def _children(task: Path) -> list[str]:
    return (task / "children").read_text().split()


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_files_of_a_cloud_that_was_killed_are_removed_by_the_stop(state: Path) -> None:
    cloud = control.start(state)
    (state / "objects" / "photo").write_bytes(b"photo")
    os.killpg(cloud.pid, signal.SIGKILL)
    os.waitpid(cloud.pid, 0)
    assert not control.stop(state)
    assert not (state / "objects").exists()
    assert (state / "cloud.log").exists()
