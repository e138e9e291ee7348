"""Everything that two parts of the system must agree on: names, file formats, limits, and the run's document.

The CDK app builds the state machine's payloads from it; the training jobs, the Lambdas, the endpoint and the command
line read and write by it. It uses the standard library only, so that each of them can import it.
"""

from contract.alarms import *
from contract.api import *
from contract.batch import *
from contract.ceiling import *
from contract.check import *
from contract.class_weights import *
from contract.collections import *
from contract.console import *
from contract.cost import *
from contract.dataset import *
from contract.debugger import *
from contract.decision import *
from contract.drift import *
from contract.evaluation import *
from contract.events import *
from contract.features import *
from contract.feedback import *
from contract.folders import *
from contract.heat_map import *
from contract.hyperparameters import *
from contract.jobs import *
from contract.lock import *
from contract.machine_time import *
from contract.machines import *
from contract.metrics import *
from contract.model import *
from contract.names import *
from contract.parameters import *
from contract.plan import *
from contract.prices import *
from contract.profile import *
from contract.recorded_jobs import *
from contract.releases import *
from contract.rules import *
from contract.run import *
from contract.scaling import *
from contract.schedule import *
from contract.serving_metrics import *
from contract.shadow import *
from contract.sleep import *
from contract.task_inputs import *
from contract.tidied import *
from contract.triggers import *
from contract.words import *
