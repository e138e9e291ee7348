"""Step Functions on ministack's interpreter: the SageMaker integrations, and the checks of AWS that it lacks."""
