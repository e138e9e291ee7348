"""CheckDataset: checks the photos, writes the manifest, and plans the run."""
