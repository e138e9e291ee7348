"""Training and processing jobs: what a request may ask for, the programs that run, their logs, metrics and files."""
