"""Every limit of the reuse component, in one table.

A number that bounds memory, time or the size of a search stands here with its unit and reason, and
nowhere else.
"""

from __future__ import annotations

from typing import Final

LEARNWARES_MAX: Final = 256
"""Learnwares in one reuser. A mix has about five; pooling more than a few dozen was seen to lose accuracy."""

FOLDS_MAX: Final = 5
"""Folds of a cross-validation: more cost time and were never seen to choose better here."""

FOLDS_MIN: Final = 3
"""Folds of the smallest cross-validation worth its noise; below it a fixed choice is better."""

PROBABILITY_FLOOR: Final = 1e-3
"""Added to a probability before its logarithm: log(1e-3) is about -7, which a model can still weigh."""

PRUNING_EXHAUSTIVE_MAX: Final = 10
"""Learnwares up to which every subset is tried: 1,023 evaluations, a fraction of a second."""

PRUNING_FRONT_MAX: Final = 64
"""Subsets kept in the front; those with the largest error go first, and the answer is never one of them."""

PRUNING_ROWS_MAX: Final = 2_000
"""Labelled rows that subsets are judged by; more are sampled. An error rate is then known to one percent."""

HERDED_ROWS_MIN: Final = 5
"""Rows drawn from a learnware at least, however small its weight: fewer cannot outline where its data lie."""

PRUNING_BATCH: Final = 25
"""Subsets evaluated at once: enough that numpy's overhead does not count, few enough for memory."""

PRUNING_FLOATS_MAX: Final = 2_000_000
"""Values of all learnwares' answers to the rows that subsets are judged by; a batch needs 25 times as many
bytes."""

STUDENT_WORDS_MAX: Final = 50_000
"""Words that a student learns, the most frequent ones; a few thousand texts have half as many twice."""

UNLABELLED_TEXTS_MIN: Final = 500
"""Texts without a label from which on a student is worth having: on newsgroups its gain was -0.03, -0.004,
0.007, 0.013 and 0.022 with 50, 200, 500, 1,000 and all 2,500 texts."""

SURENESS_ROWS_MAX: Final = 1_000
"""Unlabelled rows that tell how sure learnwares are of the searcher's data: the mean is then known to
0.01."""
