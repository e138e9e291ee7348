"""AlarmNotice: tells people that an alarm of the endpoint went off, or is over."""
