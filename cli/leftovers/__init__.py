"""`whippet leftovers`: what an environment left in the account after its stack was destroyed."""
