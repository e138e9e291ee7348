"""The servers that people write around ONNX Runtime, for the benchmark `serving`, run in an environment that has them.

python -m benchmarks.serving_peers fastapi|litserve MODEL PORT

Both decode with Pillow, scale and crop as torchvision's preset does, and give the model the whole machine's threads, as
their documentation's examples do. It imports nothing of the project.
"""

from __future__ import annotations

import io
import sys
from typing import Any

import litserve
import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, UploadFile
from PIL import Image

SIDE, SHORTER = 224, 256


def session(model: str) -> onnxruntime.InferenceSession:
    """Return the model with ONNX Runtime's own settings."""
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


def classified(model: onnxruntime.InferenceSession, body: bytes) -> list[dict[str, Any]]:
    """Return the five likeliest classes of a photo."""
    photo = Image.open(io.BytesIO(body)).convert("RGB")
    scale = SHORTER / min(photo.size)
    photo = photo.resize((round(photo.width * scale), round(photo.height * scale)), Image.Resampling.BILINEAR)
    left, top = (photo.width - SIDE) // 2, (photo.height - SIDE) // 2
    pixels = np.asarray(photo.crop((left, top, left + SIDE, top + SIDE)))[np.newaxis]
    (probabilities,) = model.run(["probabilities"], {"image": pixels})
    best = np.argsort(-probabilities[0])[:5]
    return [{"label": int(label), "score": float(probabilities[0][label])} for label in best]


def serve_with_fastapi(model: str, port: int) -> None:
    """Serve with a synchronous route, which FastAPI runs in threads, as its tutorial takes files."""
    loaded, app = session(model), FastAPI()

    @app.post("/invocations")
    def answer(image: UploadFile) -> list[dict[str, Any]]:
        return classified(loaded, image.file.read())

    @app.get("/ping")
    def ping() -> str:
        return ""

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


class Photos(litserve.LitAPI):
    """The model in LitServe's own process."""

    def __init__(self, model: str) -> None:
        super().__init__(api_path="/invocations")
        self.file = model

    def setup(self, device: str) -> None:
        """Load the model."""
        self.session = session(self.file)

    def decode_request(self, request):  # LitServe would take an annotation for a field of the query string
        """Return the file of a form."""
        return request["image"].file.read()

    def predict(self, body: bytes) -> list[dict[str, Any]]:
        """Return the answer to a photo."""
        return classified(self.session, body)

    def encode_response(self, output: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the answer as it is."""
        return output


def serve_with_litserve(model: str, port: int) -> None:
    """Serve with LitServe's defaults: one process that runs the model, and one that speaks HTTP."""
    server = litserve.LitServer(Photos(model), accelerator="cpu", healthcheck_path="/ping")
    server.run(host="127.0.0.1", port=port, log_level="warning", generate_client_file=False)


if __name__ == "__main__":
    _, kind, file, number = sys.argv
    {"fastapi": serve_with_fastapi, "litserve": serve_with_litserve}[kind](file, int(number))
