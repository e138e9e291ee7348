"""Files that strangers may send to hurt a server: each kind is a function from a source of chance to a request."""
