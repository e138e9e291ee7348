"""JudgeShadow: says by a shadow variant's metrics whether its model may answer callers."""
