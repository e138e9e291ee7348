"""The sections of the report: each returns what its template shows."""
