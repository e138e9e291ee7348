"""A page of a foreign origin in a real browser, and another user of the machine, can make nothing on the local cloud.

The page has more than a stranger would: requests that are signed with the administrator's key. Only where it comes from
keeps them out.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from botocore.auth import S3SigV4QueryAuth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from playwright.sync_api import Browser, Page

from local import control
from tests.local.cloud.conftest import Account

NOBODY = 65534
FUNCTION = "marks"
PAGE = "<!doctype html><title>A stranger's page</title><body>"

ATTACK = """async (attempts) => {
    const append = (kind, values) => Object.assign(document.createElement(kind), values);
    const ended = (element) => new Promise((done) => {
        element.onload = () => done("loaded");
        element.onerror = () => done("error");
        document.body.append(element);
    });
    const ways = {
        fetch: async ({url, options}) => {
            const answer = await fetch(url, options);
            return answer.type === "opaque" ? "opaque" : `read ${answer.status}`;
        },
        beacon: async ({url, options}) => String(navigator.sendBeacon(url, options.body)),
        img: ({url}) => ended(append("img", {src: url})),
        script: ({url}) => ended(append("script", {src: url})),
        iframe: ({url}) => ended(append("iframe", {src: url})),
        form: ({url, options}) => {
            const frame = append("iframe", {name: "answer"});
            const form = append("form", {action: url, target: "answer", ...options});
            document.body.append(form);
            const end = ended(frame);
            form.submit();
            return end;
        },
        socket: ({url}) => new Promise((done) => {
            const socket = new WebSocket(url.replace("http:", "ws:"));
            socket.onopen = () => done("read an open socket");
            socket.onerror = () => done("error");
        }),
    };
    const results = {};
    for (const attempt of attempts) {
        try {
            results[attempt.name] = await ways[attempt.way](attempt);
        } catch (error) {
            results[attempt.name] = "blocked";
        }
    }
    return results;
}"""


@dataclass(frozen=True)
class Victim:
    """A local cloud with a bucket, a function that leaves a file where it runs, and a state machine."""

    account: Account
    state_machine: str
    mark: Path

    def content(self) -> dict[str, Any]:
        """Everything that a stranger might have made or deleted."""
        client = self.account.client
        return {
            "buckets": [bucket["Name"] for bucket in client("s3").list_buckets()["Buckets"]],
            "objects": [item["Key"] for item in client("s3").list_objects_v2(Bucket="photos")["Contents"]],
            "functions": [item["FunctionName"] for item in client("lambda").list_functions()["Functions"]],
            "executions": client("stepfunctions").list_executions(stateMachineArn=self.state_machine)["executions"],
            "topics": client("sns").list_topics()["Topics"],
            "users": [user["UserName"] for user in client("iam").list_users()["Users"]],
            "invoked": self.mark.exists(),
        }

    def presigned(self, service: str, path: str, *, method: str, key: str | None = None, **query: str) -> str:
        """A URL that is signed in its query, with the administrator's key or another one."""
        cloud = self.account.cloud
        url = f"{cloud.endpoint_url}{path}" + (f"?{urlencode(query)}" if query else "")
        wanted = AWSRequest(method=method, url=url)
        keys = Credentials(key or cloud.access_key, cloud.secret_key)
        signer = S3SigV4QueryAuth if service == "s3" else SigV4QueryAuth
        signer(keys, service, "us-east-1").add_auth(wanted)
        return str(wanted.url)


@pytest.fixture(scope="module")
def victim() -> Iterator[Victim]:
    # other users may enter the folder: only the files' modes protect them
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    account = Account(control.start(folder / "state"))
    try:
        account.client("s3").create_bucket(Bucket="photos")
        account.client("s3").put_object(Bucket="photos", Key="1.jpg", Body=b"")
        role = account.role("lambda", "lambda.amazonaws.com")
        account.client("lambda").create_function(
            FunctionName=FUNCTION,
            Runtime="python3.13",
            Handler="index.handler",
            Role=role,
            Code={"ZipFile": program(f"open({str(folder / 'mark')!r}, 'w').close()")},
        )
        machine = account.state_machine("waits", role, {"End": {"Type": "Pass", "End": True}})
        yield Victim(account, machine, folder / "mark")
    finally:
        control.stop(folder / "state")
        shutil.rmtree(folder, ignore_errors=True)


def program(line: str) -> bytes:
    """The zip of a function that runs a line of Python."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("index.py", f"def handler(event, context):\n    {line}\n")
    return file.getvalue()


@pytest.fixture(params=["another port", "a file"])
def page(request: pytest.FixtureRequest, browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """A page of a foreign origin: of another port of this machine, which is the same site, or of a file."""
    (tmp_path / "index.html").write_text(PAGE)
    context = browser.new_context()
    opened = context.new_page()
    if request.param == "a file":
        opened.goto((tmp_path / "index.html").as_uri())
        yield opened
    else:
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        opened.goto(f"http://127.0.0.1:{server.server_port}/index.html")
        yield opened
        server.shutdown()
        thread.join()
        server.server_close()
    context.close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


def attempts(victim: Victim) -> Iterator[dict[str, Any]]:
    """What a page can try: each call without a key, with a made-up one and with the right one."""
    new_function = {
        "FunctionName": "strangers",
        "Runtime": "python3.13",
        "Handler": "index.handler",
        "Role": "arn:aws:iam::000000000000:role/lambda",
        "Code": {"ZipFile": base64.b64encode(program("pass")).decode()},
    }
    start = {"stateMachineArn": victim.state_machine, "name": "strangers"}
    target = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "AWSStepFunctions.StartExecution"}
    calls: list[tuple[str, str, str, str, dict[str, str], Any]] = [
        ("CreateFunction", "lambda", "POST", "/2015-03-31/functions", {}, new_function),
        ("Invoke", "lambda", "POST", f"/2015-03-31/functions/{FUNCTION}/invocations", {}, {}),
        ("reset", "s3", "POST", "/_ministack/reset", {}, {}),
        ("CreateBucket", "s3", "PUT", "/strangers", {}, ""),
        ("PutObject", "s3", "PUT", "/photos/strangers", {}, "x"),
        ("DeleteObject", "s3", "DELETE", "/photos/1.jpg", {}, None),
        ("StartExecution", "states", "POST", "/", target, start),
    ]
    for name, service, method, path, headers, given in calls:
        body = given if given is None or isinstance(given, str) else json.dumps(given)
        urls = {
            "no key": f"{victim.account.cloud.endpoint_url}{path}",
            "a made-up key": victim.presigned(service, path, method=method, key="AKIAIOSFODNN7EXAMPLE"),
            "the key": victim.presigned(service, path, method=method),
        }
        for key, url in urls.items():
            options = {"method": method, "headers": headers or {"content-type": "text/plain"}, "body": body}
            yield {"name": f"{name}, {key}", "way": "fetch", "url": url, "options": options}
            if method == "POST" and not headers:
                # a simple request, which the browser sends without asking
                yield {
                    "name": f"{name}, {key}, simple",
                    "way": "fetch",
                    "url": url,
                    "options": options | {"mode": "no-cors"},
                }
                yield {"name": f"{name}, {key}, beacon", "way": "beacon", "url": url, "options": {"body": body}}
                options = {"method": "post", "enctype": "text/plain"}
                yield {"name": f"{name}, {key}, form", "way": "form", "url": url, "options": options}

    # the query APIs take everything in a URL
    for service, action in (("sns", {"Action": "CreateTopic"}), ("iam", {"Action": "CreateUser"})):
        for way in ("img", "script", "iframe", "form"):
            names = {"Name": f"strangers-{way}", "UserName": f"strangers-{way}"}
            method = "POST" if way == "form" else "GET"
            url = victim.presigned(service, "/", method=method, **action, **names)
            options = {"method": method.lower()}
            yield {"name": f"{action['Action']}, {way}", "way": way, "url": url, "options": options}
    yield {"name": "socket", "way": "socket", "url": victim.account.cloud.endpoint_url, "options": {}}


def test_a_foreign_page_makes_nothing_and_reads_nothing(victim: Victim, page: Page) -> None:
    before = victim.content()
    assert (before["functions"], before["executions"], before["invoked"]) == ([FUNCTION], [], False)
    tried = list(attempts(victim))
    results = page.evaluate(ATTACK, tried)
    assert len(results) == len(tried) > 40
    assert {name: result for name, result in results.items() if result.startswith("read")} == {}
    assert victim.content() == before


def send(victim: Victim, url: str, method: str, *, host: str | None = None) -> int:
    """Send a request from outside of a browser, and return the status of the answer."""
    port = victim.account.cloud.port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    parts = urlsplit(url)
    connection.putrequest(method, f"{parts.path}?{parts.query}", skip_host=True)
    connection.putheader("Host", host or f"127.0.0.1:{port}")
    connection.putheader("Content-Length", "0")
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status


def test_a_name_that_leads_here_opens_nothing(victim: Victim) -> None:
    """DNS rebinding makes a stranger's page one of the same origin; its requests still name the stranger's host."""
    before = victim.content()
    url = victim.presigned("s3", "/strangers", method="PUT")
    assert send(victim, url, "PUT", host=f"evil.example:{victim.account.cloud.port}") == 403
    assert victim.content() == before


OTHER_USER = """
import http.client, json, os, pathlib, sys

state, port, pid, own_keys = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:]
found = {"user": os.getuid(), "record": "read", "readable": [], "statuses": []}
try:
    (state / "cloud.json").read_text()
except OSError as error:
    found["record"] = type(error).__name__
places = [pathlib.Path("/proc") / pid / name for name in ("cmdline", "environ")]
for folder, _, files in os.walk(state):
    places += [pathlib.Path(folder) / name for name in files]
for place in places:
    try:
        found["readable"].append([str(place), place.read_bytes().decode("latin-1")])
    except OSError:
        pass
for key in (None, *own_keys):
    scope = f"{key}/20260101/us-east-1/s3/aws4_request"
    headers = {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"} if key else {}
    for method, path in (("PUT", "/strangers"), ("POST", "/_ministack/reset"), ("GET", "/"), ("GET", "/photos/1.jpg")):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request(method, path, headers=headers)
        found["statuses"].append(connection.getresponse().status)
        connection.close()
print(json.dumps(found))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="starts a process as another user: run as root")
def test_another_user_of_the_machine_has_no_key_and_makes_nothing(victim: Victim) -> None:
    cloud, before = victim.account.cloud, victim.content()
    arguments = [str(cloud.state), str(cloud.port), str(cloud.pid), "test", "000000000000", "AKIAIOSFODNN7EXAMPLE"]
    done = subprocess.run(
        [everybodys_python(), "-I", "-c", OTHER_USER, *arguments],
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        env={},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["user"], found["record"]) == (NOBODY, "PermissionError")
    assert set(found["statuses"]) == {403}
    assert len(found["statuses"]) == 16
    told = [place for place, text in found["readable"] if cloud.access_key in text or cloud.secret_key in text]
    assert told == [], "the key stands in a file that everybody may read"
    assert victim.content() == before


def everybodys_python() -> str:
    """A Python that another user may execute."""
    for candidate in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            subprocess.run([candidate, "-I", "-c", ""], user=NOBODY, group=NOBODY, extra_groups=[], check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return candidate
    pytest.skip("needs a Python that every user may execute: on Debian and Ubuntu, apt install python3")


def test_the_same_requests_are_answered_where_no_page_sends_them(victim: Victim) -> None:
    """What the page tried would have worked: the last test, since it changes the account."""
    put = victim.presigned("s3", "/photos/strangers", method="PUT")
    topic = victim.presigned("sns", "/", method="GET", Action="CreateTopic", Name="strangers")
    invoke = victim.presigned("lambda", f"/2015-03-31/functions/{FUNCTION}/invocations", method="POST")
    assert [send(victim, put, "PUT"), send(victim, topic, "GET"), send(victim, invoke, "POST")] == [200, 200, 200]
    content = victim.content()
    assert "strangers" in content["objects"]
    assert len(content["topics"]) == 1
    assert content["invoked"]
