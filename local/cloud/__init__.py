"""The local cloud's server: ministack with the local SageMaker in it, and every change to ministack's internals."""
