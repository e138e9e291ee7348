"""RecordRelease: writes down which model came into service, and why."""
