"""What the `whippet` command's verbs take and call, by subject; `cli/main.py` lists them."""
