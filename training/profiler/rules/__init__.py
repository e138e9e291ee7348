"""The debugger's profiler rules, a module each, and what evaluates them."""
