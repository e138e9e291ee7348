"""The stack of one environment: a table of contents."""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_kms as kms
from aws_cdk import region_info
from constructs import Construct

import contract
from contract import console_host
from infra.api import Api
from infra.batch_role import BatchRole
from infra.budget import Budget
from infra.cleanup import Cleanup
from infra.dataset import Dataset
from infra.drift import DriftCheck
from infra.encryption import Encryption
from infra.images import DebuggerImage, TrainingImage
from infra.instances import has_local_storage
from infra.job_role import TrainingRole
from infra.key import build_key
from infra.monitoring import Monitoring
from infra.names import Names
from infra.network import join_vpc
from infra.notifications import Notifications
from infra.outputs import StackOutput
from infra.pause import Pause, SleepRecord
from infra.scaling import Scaling
from infra.serving import EndpointLogs, EndpointRole, ModelRegistry, ServingImage, repository_of
from infra.settings import Settings
from infra.source_bundle import SourceBundle
from infra.synthesis_warnings import add_warnings
from infra.tidy_up import TidyUp
from infra.triggers import Triggers
from infra.workflow.payloads import RunParts
from infra.workflow.protection import Protection
from infra.workflow.state_machine import Workflow

__all__ = ["WhippetStack"]


class WhippetStack(cdk.Stack):
    """Everything from a bucket of photos to an API, for the region and account that it is deployed to."""

    def __init__(self, scope: Construct, *, settings: Settings) -> None:
        super().__init__(
            scope, settings.stack_name, description="Image classification on SageMaker: photos in, API out."
        )
        names = Names(settings.prefix)
        record = SleepRecord.of(settings, names)
        scaling = Scaling.of(settings, names)
        key = build_key(self, settings=settings.security, names=names)
        dataset = Dataset(
            self,
            "Dataset",
            settings=settings.dataset,
            feedback_days=settings.api.feedback_days,
            capture_days=settings.monitoring.capture_days,
            upload_origins=settings.api.cors_origins,
            sends_events=settings.triggers.ready_object,
            key=key,
        )
        encryption = self._encryption(settings, key, dataset)
        notifications = Notifications(self, "Notifications", settings=settings.notifications, key=key)
        if settings.budget.monthly is not None:
            Budget(self, "Budget", settings=settings, monthly=settings.budget.monthly)

        # what the jobs run, and what they may do
        sources = SourceBundle(self, "Sources")
        training_image = TrainingImage(self, "TrainingImage")
        debugger_image = DebuggerImage(self, "DebuggerImage")
        training_role = TrainingRole(
            self,
            "TrainingRole",
            dataset=dataset,
            sources=sources,
            image=training_image,
            debugger_image=debugger_image if settings.debugger.asks_sagemaker(settings.training.mode) else None,
            further_inputs=[
                *filter(None, [settings.training.weights]),
                *(f"{prefix}*" for prefix in filter(None, [settings.training.wheels])),
            ],
            security=settings.security,
        )

        # what serves
        serving_image_uri, repository_arn = self._serving_image(names, settings, key)
        endpoint_role = EndpointRole(
            self,
            "EndpointRole",
            dataset=dataset,
            names=names,
            repository_arn=repository_arn,
            captures=settings.monitoring.capture_percent > 0,
            further=[] if settings.serving.mode == "serverless" else join_vpc(settings.security),
        )
        batch_role = BatchRole(
            self,
            "BatchRole",
            dataset=dataset,
            sources=settings.batch.sources,
            repository_arn=repository_arn,
            security=settings.security,
        )
        endpoint_logs = EndpointLogs(self, "EndpointLogs", names=names)
        registry = ModelRegistry(self, "ModelRegistry", names=names)
        api = Api(self, "Api", names=names, dataset=dataset, settings=settings, record=record)

        # the run; its Lambda functions have a scope of their own, which the clean-up can depend on
        functions = Construct(self, "Functions")
        workflow = Workflow(
            self,
            "Workflow",
            parts=RunParts(
                settings=settings,
                names=names,
                dataset=dataset,
                topic=notifications.topic,
                sources=sources,
                training_image=training_image,
                debugger_image=debugger_image,
                job_role_arn=training_role.role.role_arn,
                serving_image_uri=serving_image_uri,
                serving_repository_arn=repository_arn,
                endpoint_role_arn=endpoint_role.role.role_arn,
                sleep_record=record,
                scaling=scaling,
                protection=Protection(
                    settings=settings,
                    key_arn=encryption.key_arn,
                    objects_key_arn=encryption.objects_key_arn,
                    code_files={asset.s3_object_url: asset.s3_object_key for asset in sources.all},
                ),
            ),
            functions=functions,
        )
        workflow.node.add_dependency(registry)
        tidy_up = TidyUp(
            self,
            "TidyUp",
            names=names,
            dataset=dataset,
            topic=notifications.topic,
            record=record,
            scaling=scaling,
            env=settings.env,
        )

        # at destroy, everything the clean-up needs is still there
        cleanup = Cleanup(
            self,
            "Cleanup",
            names=names,
            dataset=dataset,
            state_machine_name=names.prefix,
            record=record,
            scaling=scaling,
        )
        cleanup.resource.node.add_dependency(
            workflow, training_role, endpoint_role, batch_role, endpoint_logs, functions, registry
        )
        background = [tidy_up.function.function]
        if record.hours is not None:
            pause = Pause(self, "Pause", names=names, record=record, scaling=scaling, hours=record.hours)
            cleanup.resource.node.add_dependency(pause)
            background.append(pause.function.function)
        if settings.monitoring.checks_drift:
            drift = DriftCheck(self, "Drift", names=names, dataset=dataset, settings=settings, record=record)
            background.append(drift.function.function)
            cdk.CfnOutput(
                self,
                StackOutput.DRIFT_FUNCTION.value,
                value=drift.function.function.function_name,
                description="The function that checks captured answers for drift",
            )
        failed_deliveries: Mapping[str, cloudwatch.IMetric] = {}
        if settings.triggers.any:
            triggers = Triggers(
                self,
                "Triggers",
                names=names,
                dataset=dataset,
                topic=notifications.topic,
                settings=settings,
                key_arn=encryption.key_arn,
            )
            # destroyed first: no run is started while the clean-up ends those that go on
            triggers.node.add_dependency(cleanup.resource, workflow)
            background.append(triggers.function.function)
            failed_deliveries = triggers.failed_deliveries
        Monitoring(
            self,
            "Monitoring",
            names=names,
            dataset=dataset,
            settings=settings,
            record=record,
            api_function=api.function.function,
            background=background,
            state_machine=workflow.state_machine,
            topic=notifications.topic,
            failed_deliveries=failed_deliveries,
        )
        self._outputs(names, dataset, workflow, api, notifications, batch_role, record, encryption.key_arn)
        if settings.triggers.ready_object:
            ready = dataset.uri(f"{dataset.prefix}{contract.READY_FILE}")
            cdk.CfnOutput(self, StackOutput.READY_OBJECT.value, value=ready, description="Whose upload starts a run")
        add_warnings(self, settings)

    def _encryption(self, settings: Settings, key: kms.IKey | None, dataset: Dataset) -> Encryption:
        """Let everything that follows be encrypted with the key, and every role use it as far as it must."""
        training, release = settings.training, settings.release
        jobs = (training.instance_type, settings.tuning.instance_type, settings.debugger.instance_type)
        encryption = Encryption(
            key_arn=key.key_arn if key else None,
            objects_key_arn=dataset.key_arn,
            bucket_arn=dataset.bucket.bucket_arn,
            volumes=not all(map(has_local_storage, (*jobs, settings.batch.instance_type))),
            endpoint_volume=settings.serving.mode == "realtime" and not has_local_storage(release.instance_type),
        )
        encryption.attach(self)
        return encryption

    def _serving_image(self, names: Names, settings: Settings, key: kms.IKey | None) -> tuple[str, str | None]:
        """Return the URI of the image that the settings give or the stack builds, and the ARN of its ECR repository."""
        given = settings.release.image_uri
        if given:
            return given, repository_of(given)
        built = ServingImage(
            self, "ServingImage", repository_name=names.serving_repository(settings.security.kms_key), key=key
        )
        return built.uri, built.repository.repository_arn

    def _console_host(self) -> str:
        """Return the host of the console in the partition that the stack is deployed to, unknown at synthesis."""
        partitions = {region_info.RegionInfo.get(region.name).partition for region in region_info.RegionInfo.regions}
        hosts = {name: {"host": console_host(name)} for name in sorted(filter(None, partitions))}
        return cdk.CfnMapping(self, "Consoles", mapping=hosts).find_in_map(cdk.Aws.PARTITION, "host")

    def _outputs(
        self,
        names: Names,
        dataset: Dataset,
        workflow: Workflow,
        api: Api,
        notifications: Notifications,
        batch_role: BatchRole,
        record: SleepRecord,
        key_arn: str | None,
    ) -> None:
        # what every stack has
        arn = workflow.state_machine.state_machine_arn
        console = f"https://{self.region}.{self._console_host()}/states/home?region={self.region}"
        outputs = {
            StackOutput.DATA_BUCKET: (dataset.bucket.bucket_name, "The data bucket"),
            StackOutput.DATASET_URI: (dataset.uri(dataset.prefix), "Where to put the class folders with photos"),
            StackOutput.STATE_MACHINE_ARN: (arn, "The state machine; start an execution with {}"),
            StackOutput.STATE_MACHINE_CONSOLE: (
                f"{console}#/statemachines/view/{arn}",
                "The state machine in the console",
            ),
            StackOutput.ENDPOINT_NAME: (names.endpoint, "The endpoint; it exists once a run has released a model"),
            StackOutput.NOTIFICATION_TOPIC: (
                notifications.topic.topic_arn,
                "The topic of results and questions; an e-mail address gets them once the link in AWS's first message "
                "is followed",
            ),
            StackOutput.BATCH_ROLE_ARN: (batch_role.role.role_arn, "The role of `whippet classify FOLDER`"),
            StackOutput.API_URL: (api.url, "The API: POST <url>classify, GET <url>health"),
        }

        # what not every stack has
        if api.key is not None:
            command = f"aws apigateway get-api-key --api-key {api.key.key_id} --include-value --query value"
            outputs[StackOutput.API_KEY_ID] = (api.key.key_id, "Id of the API key")
            outputs[StackOutput.API_KEY_COMMAND] = (f"{command} --output text", "Prints the API key")
        if key_arn is not None:
            outputs[StackOutput.KMS_KEY_ARN] = (key_arn, "The KMS key that encrypts what is stored")
        if record.name:
            outputs[StackOutput.SLEEP_RECORD] = (record.name, "The parameter that says which model sleeps")
        for name, (value, description) in outputs.items():
            cdk.CfnOutput(self, name.value, value=value, description=description)
