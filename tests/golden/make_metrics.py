#!/usr/bin/env python3
"""Writes metrics.safetensors beside this script: labels, predictions, and what scikit-learn computes of them. README.md
says what is in it."""
import warnings

import numpy as np
from sklearn.metrics import balanced_accuracy_score, f1_score, precision_score

from make_golden import save


def main():
    warnings.simplefilter('ignore')  # a class that is predicted and does not occur
    rng = np.random.default_rng(4)
    rare = np.where(rng.random(200) < .9, 0, rng.integers(1, 5, 200))
    cases = {
        'even': (rng.integers(4, size=100), rng.integers(4, size=100)),
        'always the largest': (rare, np.zeros_like(rare)),
        'unbalanced': (rare, np.where(rng.random(200) < .8, rare, rng.integers(5, size=200))),
        'a class that does not occur': (rng.integers(3, size=50), rng.integers(1, 4, size=50)),
        'a class of neither': (2 * rng.integers(2, size=30), 2 * rng.integers(2, size=30)),
        'all right': (np.arange(4), np.arange(4)),
        'all wrong': (np.arange(4), (np.arange(4) + 1) % 4),
    }
    out = {}
    for name, (y, predicted) in cases.items():
        out[f'{name}/y'], out[f'{name}/predicted'] = y.astype(np.int32), predicted.astype(np.int32)
        out[f'{name}/macro_f1'] = np.float32([f1_score(y, predicted, average='macro', zero_division=0)])
        out[f'{name}/balanced_accuracy'] = np.float32([balanced_accuracy_score(y, predicted)])
        out[f'{name}/f1'] = f1_score(y, predicted, labels=range(5), average=None, zero_division=0).astype(np.float32)
        out[f'{name}/precision'] = precision_score(y, predicted, labels=range(5), average=None,
                                                   zero_division=np.nan).astype(np.float32)
    save('metrics.safetensors', out, cases='\n'.join(cases))


if __name__ == '__main__':
    main()
