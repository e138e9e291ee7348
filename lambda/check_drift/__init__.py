"""CheckDrift: compares captured answers of the endpoint with those to the test photos of the model in service."""
