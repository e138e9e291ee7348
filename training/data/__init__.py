"""Photos on their way to the network: the manifest, decoding ahead, every augmentation."""
