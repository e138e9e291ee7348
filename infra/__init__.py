"""The CDK app's constructs: what the cloud holds."""
