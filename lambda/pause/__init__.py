"""Pause: deletes the endpoint when nobody has asked it for hours; its configuration and model stay."""
