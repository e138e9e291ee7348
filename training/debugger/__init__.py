"""The debugger: the hook that saves a training's tensors, and the rules that are evaluated on them.

smdebug needs preparation for today's packages (`smdebug_shim`) before anything of it is imported.
"""

from training.debugger import smdebug_shim as smdebug_shim
