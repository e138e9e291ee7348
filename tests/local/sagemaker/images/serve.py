"""Stands for a serving image: answers with its model's text; requests can make it slow, fail or die."""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

if os.environ.get("REFUSE_TO_START"):
    sys.exit("no")
model = next(Path(os.environ["SM_MODEL_DIR"]).rglob("*.txt")).read_text()
if os.environ.get("PID_FILE"):
    Path(os.environ["PID_FILE"]).write_text(str(os.getpid()))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header(
            "X-Amzn-SageMaker-Custom-Attributes", self.headers.get("X-Amzn-SageMaker-Custom-Attributes", "")
        )
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self.answer(503 if os.environ.get("UNHEALTHY") else 200, b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        # a shadow variant gets the same request: what it asks for may be meant for one model
        if self.headers.get("X-Amzn-SageMaker-Custom-Attributes", "").startswith("only=") and (
            self.headers["X-Amzn-SageMaker-Custom-Attributes"] != f"only={model}"
        ):
            body = b"photo"
        if body == b"die":
            os._exit(1)
        if body == b"slow":
            print("slow request", flush=True)
            while not Path(os.environ["RELEASE_FILE"]).exists():
                time.sleep(0.01)
        if body == b"refuse":
            self.answer(422, b"not an image")
        elif body == b"variables":
            self.answer(200, json.dumps(dict(os.environ)).encode())
        elif body == b"break":
            self.answer(500, b"Traceback")
        else:
            seen = {"type": self.headers["Content-Type"], "accept": self.headers["Accept"]}
            self.answer(200, json.dumps({"model": model, "bytes": len(body), **seen}).encode())

    def log_message(self, *_: object) -> None:
        pass


ThreadingHTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
