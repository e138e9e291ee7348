"""`whippet feedback`: photos that callers of the API sent with the right label, reviewed and added to the data set."""
