"""A SageMaker on this machine: AWS's API, with jobs and endpoints that run as local processes.

The package knows nothing of the cloud around it but what `Host` gives. `SageMaker.call` and `SageMaker.invoke_endpoint`
are its API; the caller adds HTTP.

What differs from AWS, beside speed and price:

- Each instance of a training job is a process of this machine, and each production variant is one process.
- A stopped training job ends after seconds, not after 120 of them. As on AWS, its script hears no SIGTERM.
- Spot instances are never interrupted. FastFile channels are filled before the job starts.
- Two jobs of several instances cannot run at once under torchrun, since the toolkit's port is fixed.
- Instance types, VPCs, endpoints' network isolation and encryption between containers are accepted without effect.
- Debugger's rules are evaluated after the job, not beside it, and its profiler samples nothing by itself.
- Model packages are neither validated nor scanned.
- Records live as long as the service, but for the names of jobs (`account`).
- What is not supported is refused by name: Pipe mode, Hyperband, TensorBoard output, processing on several instances,
  data capture, serverless, asynchronous and multi-container endpoints, and others.

Each module says more about its part.
"""

from local.sagemaker.errors import SageMakerError
from local.sagemaker.host import DebuggerAccess, Host, Image
from local.sagemaker.jobs.stopping import StopPolicy
from local.sagemaker.rule_evaluator import RuleEvaluator, RuleOutcome, RuleTask
from local.sagemaker.service import SageMaker

__all__ = [
    "DebuggerAccess",
    "Host",
    "Image",
    "RuleEvaluator",
    "RuleOutcome",
    "RuleTask",
    "SageMaker",
    "SageMakerError",
    "StopPolicy",
]
