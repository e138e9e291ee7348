"""The parts of the benchmark `hook_cost`: both hooks, and the two trainings that they are measured in.

Importing `training.debugger` prepares smdebug for today's packages. It is imported here, since that must come before
any module of this package imports smdebug.
"""

from training import debugger as debugger
