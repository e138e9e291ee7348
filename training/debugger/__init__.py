"""The debugger: the hook that saves a training's tensors, and the rules that judge them.

smdebug needs today's packages to be prepared for it (`smdebug_shim`), before anything of it is imported.
"""

from training.debugger import smdebug_shim as smdebug_shim
