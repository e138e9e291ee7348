"""TellAlarm: says in words that an alarm came or went, what it means and what to do."""
