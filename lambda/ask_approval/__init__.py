"""AskApproval: asks a person whether a model may be released."""
