"""The jobs: embedding photos, tuning and training, evaluating rules; and the preprocessing that serving shares."""
