"""Feature extractors: texts and images as rows of numbers that specifications are made of.

An extractor has an *id*. It is part of the island, so specifications are only ever compared where both sides
used the same extractor in the same version. What an extractor computes must therefore not depend on the
machine, the moment or anybody's data: weights are written down, hashed from a name, or shipped in a
package that is installed; nothing is downloaded when it runs and nothing is fitted.

Rules of this folder:

1. Rows have length one, or are all zeros where there is nothing to see (a text without a word).
2. The same input gives the same row, whatever stands beside it in the batch.
3. Changing what comes out, beyond rounding, takes a new id.
4. This is the one place of ``spec`` that may read files: data of installed packages.
"""
