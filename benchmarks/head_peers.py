"""scikit-learn's side of the benchmark `head`, run in the environment that has it.

python -m benchmarks.head_peers digits FILE      write the digits' pictures and labels
python -m benchmarks.head_peers peers IN OUT     fit the peers to features, and write their probabilities
"""

from __future__ import annotations

import sys
import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)
"""scikit-learn's `C`: on standardised features of a network, the best is always inside."""

NEIGHBOURS = (1, 3, 5, 10, 20)
FOLDS = 3


def write_digits(file: str) -> None:
    """Write images, float64 (1797, 8, 8) of 0 to 16, and labels."""
    digits = load_digits()
    np.savez(file, images=digits.images, labels=digits.target)


def write_peers(given: str, found: str) -> None:
    """Fit every peer to plain features, as its user would, and write its probabilities for the test photos.

    `given` has `train` (N, dim), `labels` (N,), `test` (M, dim) and `levels`, the sizes of the feature levels.
    """
    data = np.load(given)
    train, labels, test = data["train"], data["labels"], data["test"]
    last = slice(int(data["levels"][:-1].sum()), None)
    scaler = StandardScaler().fit(train)
    train, test = (scaler.transform(features).astype(np.float32) for features in (train, test))
    np.savez(
        found,
        **{
            "logistic regression": _regression(train, labels, test),
            "logistic regression, last level": _regression(train[:, last], labels, test[:, last]),
            "k-NN": _neighbours(train, labels, test),
        },
    )


def _regression(
    train: NDArray[np.float32], labels: NDArray[np.int64], test: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return L2 logistic regression's probabilities, its `C` by cross-validated loss."""
    model = LogisticRegressionCV(
        Cs=STRENGTHS, cv=FOLDS, scoring="neg_log_loss", max_iter=100, l1_ratios=(0.0,), use_legacy_attributes=False
    )
    probabilities: NDArray[np.float64] = model.fit(train, labels).predict_proba(test)
    return probabilities


def _neighbours(
    train: NDArray[np.float32], labels: NDArray[np.int64], test: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the probabilities of k nearest neighbours by cosine, k by cross-validated accuracy."""
    model = GridSearchCV(KNeighborsClassifier(metric="cosine"), {"n_neighbors": NEIGHBOURS}, cv=FOLDS)
    probabilities: NDArray[np.float64] = model.fit(train, labels).predict_proba(test)
    return probabilities


if __name__ == "__main__":
    warnings.simplefilter("ignore", ConvergenceWarning)
    if sys.argv[1] == "digits":
        write_digits(sys.argv[2])
    else:
        write_peers(*sys.argv[2:4])
