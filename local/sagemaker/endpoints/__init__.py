"""Models, endpoint configurations and endpoints: `serve` processes that answer InvokeEndpoint."""
