"""StartRun: starts a run for an event, once, and not beside one for the same photos."""
