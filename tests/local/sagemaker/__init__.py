"""Tests of the local SageMaker, with images that are small programs in `images/`; run by .envs/cloud."""
