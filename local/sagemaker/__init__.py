"""A SageMaker on this machine: the API as its clients know it, jobs and endpoints as local processes.

Knows nothing of the cloud around it but what `Host` says; a caller puts the HTTP (or any other) front before
`SageMaker.call` and `SageMaker.invoke_endpoint`.

What differs from AWS, beside speed and price: the instances of a training job are processes of this machine, and one
process is a production variant; spot instances are never interrupted by themselves; FastFile channels are filled before
the job starts; two jobs of several instances under torchrun cannot run at once (the toolkit's port is fixed); instance
types, VPCs, network isolation and encryption between containers are accepted and change nothing; Debugger's rules are
evaluated after the job and not beside it, and its profiler samples nothing by itself; model packages are neither
validated nor scanned; records live as long as the service; a request for what is not here (Pipe mode, Hyperband,
TensorBoard output, processing on several instances, data capture, serverless, asynchronous and multi-container
endpoints …) is refused by name. Each module says more about its part.
"""

from local.sagemaker.errors import SageMakerError
from local.sagemaker.host import Host, Image
from local.sagemaker.rule_evaluator import RuleEvaluator, RuleOutcome, RuleTask
from local.sagemaker.service import SageMaker

__all__ = ["Host", "Image", "RuleEvaluator", "RuleOutcome", "RuleTask", "SageMaker", "SageMakerError"]
