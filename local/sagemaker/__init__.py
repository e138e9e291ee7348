"""A SageMaker on this machine: the API as its clients know it, jobs and endpoints as local processes.

Knows nothing of the cloud around it but what `Host` says; a caller puts the HTTP (or any other) front before
`SageMaker.call` and `SageMaker.invoke_endpoint`.
"""

from local.sagemaker.errors import SageMakerError
from local.sagemaker.host import Host, Image
from local.sagemaker.service import SageMaker

__all__ = ["Host", "Image", "SageMaker", "SageMakerError"]
