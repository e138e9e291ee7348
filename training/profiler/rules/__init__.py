"""The profiler rules, most of them a module each, and what evaluates them."""
