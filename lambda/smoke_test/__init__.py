"""SmokeTest: asks the endpoint about a photo after every release."""
