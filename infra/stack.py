"""The whole system of one environment: a table of contents."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from infra.acknowledged import acknowledge_findings
from infra.api import Api
from infra.cleanup import Cleanup, EndpointLogs
from infra.dataset import Dataset
from infra.debugger_images import DebuggerImage
from infra.functions import RunFunctions
from infra.images import TrainingImage
from infra.job_role import EndpointRole, TrainingRole
from infra.model_registry import ModelRegistry
from infra.names import Names
from infra.notifications import Notifications
from infra.outputs import StackOutput
from infra.serving import ServingImage, repository_of
from infra.settings import Settings
from infra.source_bundle import SourceBundle
from infra.workflow.jobs import JobParts
from infra.workflow.state_machine import Workflow

__all__ = ["WhippetStack"]


class WhippetStack(cdk.Stack):
    """From a bucket of photos to an API; region and account are whatever it is deployed to."""

    def __init__(self, scope: Construct, *, settings: Settings) -> None:
        super().__init__(
            scope, settings.stack_name, description="Image classification on SageMaker: photos in, API out."
        )
        names = Names(settings.prefix)
        dataset = Dataset(self, "Dataset", settings=settings.dataset)
        notifications = Notifications(self, "Notifications", settings=settings.notifications)
        sources = SourceBundle(self, "Sources")
        image = TrainingImage(self, "TrainingImage")
        serving = None if settings.release.image_uri else ServingImage(self, "ServingImage", names=names)
        serving_uri = serving.uri if serving else str(settings.release.image_uri)
        training_role = TrainingRole(
            self,
            "TrainingRole",
            dataset=dataset,
            sources=sources,
            image=image,
            weights=settings.training.weights,
        )
        endpoint_role = EndpointRole(
            self,
            "EndpointRole",
            dataset=dataset,
            names=names,
            repository_arn=serving.repository.repository_arn if serving else repository_of(serving_uri),
        )
        EndpointLogs(self, "EndpointLogs", names=names)
        code_version = sources.with_requirements.asset_hash
        functions = RunFunctions(
            self,
            "Functions",
            settings=settings,
            names=names,
            dataset=dataset,
            topic=notifications.topic,
            code_version=code_version,
        )
        debugger_image = DebuggerImage(self, "DebuggerImage")
        registry = ModelRegistry(self, "ModelRegistry", names=names)
        weights = settings.training.weights
        workflow = Workflow(
            self,
            "Workflow",
            names=names,
            parts=JobParts(
                settings=settings,
                role_arn=training_role.role.role_arn,
                training_image=image.uri(settings.training.instance_type),
                tuning_image=image.uri(settings.tuning.instance_type),
                source_uri=sources.with_requirements.s3_object_url,
                trial_source_uri=sources.bare.s3_object_url,
                weights_uri=dataset.uri(weights) if weights else None,
                rules_image=image.uri(settings.debugger.instance_type),
                rules_program_uri=sources.rules.s3_object_url,
                rules_program=sources.rules.s3_object_key,
                debugger_image=debugger_image.uri,
                debugger_way=debugger_image.way,
                code_version=code_version,
            ),
            functions=functions.arns,
            serving_image=serving_uri,
            endpoint_role_arn=endpoint_role.role.role_arn,
        )
        workflow.node.add_dependency(registry)
        api = Api(self, "Api", names=names, settings=settings.api)
        cleanup = Cleanup(self, "Cleanup", names=names, dataset=dataset, state_machine_name=names.prefix)
        cleanup.resource.node.add_dependency(workflow, training_role, endpoint_role, functions, registry)
        self._outputs(names, dataset, workflow, api)
        acknowledge_findings(self, names=names, dataset=dataset)

    def _outputs(self, names: Names, dataset: Dataset, workflow: Workflow, api: Api) -> None:
        arn = workflow.state_machine.state_machine_arn
        console = f"https://{self.region}.console.aws.amazon.com/states/home?region={self.region}"
        command = f"aws apigateway get-api-key --api-key {api.key.key_id} --include-value --query value --output text"
        outputs = {
            StackOutput.DATA_BUCKET: (dataset.bucket.bucket_name, "The data bucket"),
            StackOutput.DATASET_URI: (dataset.uri(dataset.prefix), "Where the class folders with photos go"),
            StackOutput.STATE_MACHINE_ARN: (arn, "The run; start it with {}"),
            StackOutput.STATE_MACHINE_CONSOLE: (f"{console}#/statemachines/view/{arn}", "The run, in the console"),
            StackOutput.ENDPOINT_NAME: (names.endpoint, "The endpoint, once a run has released a model"),
            StackOutput.API_URL: (api.url, "The API: POST <url>classify, GET <url>health"),
            StackOutput.API_KEY_ID: (api.key.key_id, "Id of the API key"),
            StackOutput.API_KEY_COMMAND: (command, "Prints the API key"),
        }
        for name, (value, description) in outputs.items():
            cdk.CfnOutput(self, name.value, value=value, description=description)
