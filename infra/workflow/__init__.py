"""The state machine of a run: a file for each phase, with its states, payloads, Lambda functions and permissions."""
