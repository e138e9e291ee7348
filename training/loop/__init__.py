"""The two trainings, of a head and of a whole network, and the epoch loop that they share."""
