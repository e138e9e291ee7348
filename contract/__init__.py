"""What crosses a border, declared once: between the CDK app, the jobs, the endpoint, the Lambdas and the command line.

The state machine's payloads are built from this package, the training scripts parse with it, the endpoint and the
Lambdas answer by it. It uses the standard library only, so that every one of those places can import it.
"""

from contract.collections import *
from contract.dataset import *
from contract.debugger import *
from contract.decision import *
from contract.evaluation import *
from contract.features import *
from contract.hyperparameters import *
from contract.jobs import *
from contract.metrics import *
from contract.model import *
from contract.names import *
from contract.profile import *
from contract.rules import *
