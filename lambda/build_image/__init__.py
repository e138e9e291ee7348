"""BuildImage: the custom resource that builds the serving image."""
