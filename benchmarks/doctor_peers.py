"""cleanlab's and cleanvision's side of the benchmark `doctor`, run in an environment that has them.

python -m benchmarks.doctor_peers labels IN OUT      judge labels, as cleanlab's tutorial for images does
python -m benchmarks.doctor_peers photos FOLDER OUT  look at the photos of a folder, with cleanvision's default settings

It imports nothing of the project, so that the environment needs these two packages only.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from cleanvision import Imagelab
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FOLDS = 5


def judge_labels(given: str, found: str) -> None:
    """Write, for each row of labels, cleanlab's score of every label and which of them it calls issues.

    `given` has `features` (N, dim) and `labels` (trials, N). Probabilities are out of fold, of scikit-learn's logistic
    regression with its default settings on standardised features.
    """
    with np.load(given) as arrays:
        features, trials = arrays["features"], arrays["labels"]
    scores, issues = [], []
    for labels in trials:
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=100))
        probabilities = cross_val_predict(model, features, labels, cv=FOLDS, method="predict_proba")
        scores.append(get_label_quality_scores(labels, probabilities))
        issues.append(find_label_issues(labels, probabilities, n_jobs=1))
    np.savez(found, scores=np.array(scores), issues=np.array(issues))


def look_at_photos(folder: str, found: str) -> None:
    """Write which files, by name, have which issues, and which are copies of one another."""
    lab = Imagelab(data_path=folder, verbose=False)
    lab.find_issues(n_jobs=1, verbose=False)
    columns = [column for column in lab.issues.columns if column.startswith("is_") and column.endswith("_issue")]
    issues = {
        column.removeprefix("is_").removesuffix("_issue"): [
            Path(path).name for path in lab.issues.index[lab.issues[column].astype(bool)]
        ]
        for column in columns
    }
    Path(found).write_text(json.dumps(issues))


if __name__ == "__main__":
    warnings.simplefilter("ignore", ConvergenceWarning)
    {"labels": judge_labels, "photos": look_at_photos}[sys.argv[1]](*sys.argv[2:4])
