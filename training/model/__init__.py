"""The network: backbones and their weights, the head, what is trained of them, and what is served."""
