"""LookAtAlarms: says whether an alarm is on that would take any new model back."""
