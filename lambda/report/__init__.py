"""Report: writes the page about everything that a run did and decided."""
