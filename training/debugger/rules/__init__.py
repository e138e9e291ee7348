"""The tensor rules, a module each, and what evaluates them."""
