"""TidyUp: ends what a run left that was stopped, timed out, or could not tell of its failure."""
