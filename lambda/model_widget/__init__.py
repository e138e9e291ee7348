"""ModelWidget: the dashboard's answer to the question which model serves."""
