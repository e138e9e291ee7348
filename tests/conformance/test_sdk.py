"""The three ways in which users of the SageMaker SDK 3.x start code of their own."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from sagemaker.core.processing import FrameworkProcessor, ScriptProcessor
from sagemaker.core.shapes import (
    OutputDataConfig,
    ProcessingInput,
    ProcessingOutput,
    ProcessingS3Input,
    ProcessingS3Output,
)
from sagemaker.core.training.configs import Compute, InputData, SourceCode
from sagemaker.train import ModelTrainer

from tests.conformance.conftest import BUCKET, IMAGE, Account

TRAIN = """
import argparse, os, pathlib

from helper import shout

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
epochs = parser.parse_args().epochs
photo = pathlib.Path("/opt/ml/input/data/photos/a.txt").read_text()
pathlib.Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text(f"{shout(photo)} {epochs}")
"""

PROCESS = """
import pathlib, sys

photo = pathlib.Path("/opt/ml/processing/input/photos/a.txt").read_text()
pathlib.Path("/opt/ml/processing/output/seen.txt").write_text(f"{photo} {sys.argv[1:]}")
"""

PROCESS_WITH_HELPER = PROCESS.replace("import pathlib, sys", "import pathlib, sys\nfrom helper import shout").replace(
    "{photo}", "{shout(photo)}"
)

HELPER = """
def shout(text):
    return text.upper()
"""


def photos_input(uri: str) -> ProcessingInput:
    source = ProcessingS3Input(
        s3_uri=uri, local_path="/opt/ml/processing/input/photos", s3_data_type="S3Prefix", s3_input_mode="File"
    )
    return ProcessingInput(input_name="photos", s3_input=source)


def output_to(uri: str) -> ProcessingOutput:
    target = ProcessingS3Output(s3_uri=uri, local_path="/opt/ml/processing/output", s3_upload_mode="EndOfJob")
    return ProcessingOutput(output_name="seen", s3_output=target)


def test_model_trainer_runs_a_folder_of_source_code(account: Account, source: Path) -> None:
    (source / "train.py").write_text(TRAIN)
    (source / "helper.py").write_text(HELPER)
    account.put("photos/a.txt", "a photo")
    trainer = ModelTrainer(
        sagemaker_session=account.session,
        role=account.role,
        training_image=IMAGE,
        source_code=SourceCode(source_dir=str(source), entry_script="train.py"),
        compute=Compute(instance_type="ml.m5.large", instance_count=1),
        hyperparameters={"epochs": 3},
        output_data_config=OutputDataConfig(s3_output_path=f"s3://{BUCKET}/trained"),
        base_job_name="trainer",
    )

    trainer.train(input_data_config=[InputData(channel_name="photos", data_source=f"s3://{BUCKET}/photos/")], wait=True)

    job = trainer._latest_training_job
    job.refresh()
    assert job.training_job_status == "Completed"
    key = job.model_artifacts.s3_model_artifacts.removeprefix(f"s3://{BUCKET}/")
    content = account.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        model = archive.extractfile("model.txt")
        assert model is not None
        assert model.read() == b"A PHOTO 3"


def test_script_processor_runs_a_script(account: Account, source: Path) -> None:
    (source / "process.py").write_text(PROCESS)
    photos = account.put("script/photos/a.txt", "a photo").removesuffix("a.txt")
    processor = ScriptProcessor(
        sagemaker_session=account.session,
        role=account.role,
        image_uri=IMAGE,
        command=["python3"],
        instance_type="ml.m5.large",
        instance_count=1,
        base_job_name="script",
    )

    processor.run(
        code=str(source / "process.py"),
        inputs=[photos_input(photos)],
        outputs=[output_to(f"s3://{BUCKET}/script/out")],
        arguments=["--views", "2"],
    )

    processor.latest_job.refresh()
    assert processor.latest_job.processing_job_status == "Completed"
    assert account.get(f"s3://{BUCKET}/script/out/seen.txt") == "a photo ['--views', '2']"


def test_framework_processor_runs_a_folder_of_source_code(account: Account, source: Path) -> None:
    (source / "process.py").write_text(PROCESS_WITH_HELPER)
    (source / "helper.py").write_text(HELPER)
    photos = account.put("framework/photos/a.txt", "a photo").removesuffix("a.txt")
    processor = FrameworkProcessor(
        sagemaker_session=account.session,
        role=account.role,
        image_uri=IMAGE,
        instance_type="ml.m5.large",
        instance_count=1,
        base_job_name="framework",
    )

    processor.run(
        code="process.py",
        source_dir=str(source),
        inputs=[photos_input(photos)],
        outputs=[output_to(f"s3://{BUCKET}/framework/out")],
        arguments=["--views", "2"],
    )

    processor.latest_job.refresh()
    assert processor.latest_job.processing_job_status == "Completed"
    assert account.get(f"s3://{BUCKET}/framework/out/seen.txt") == "A PHOTO ['--views', '2']"
