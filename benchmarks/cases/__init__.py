"""Cases from the field, each through check, upload and a whole run in both modes: `python -m benchmarks.cases`."""
