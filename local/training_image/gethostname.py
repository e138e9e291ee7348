"""An empty stand-in for the C extension of the sagemaker-training toolkit; `make setup` puts it beside the toolkit.

The toolkit imports the extension whenever it starts a script, and uses it for nothing but a path: that of a library
which MPI preloads, so that a job's processes see SageMaker's host names. Jobs on the local SageMaker are not started
with MPI. Without the extension the set-up needs neither a C compiler nor Python's headers.
"""
