"""The debugger's rules, a module each, and what evaluates them."""
