"""ReleaseLock: lets one run after another release its model."""
