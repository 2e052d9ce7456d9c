"""Every limit of the specification component, in one table.

A number that bounds memory, bytes or time stands here with its unit and reason, and nowhere else.
"""

from __future__ import annotations

from typing import Final

# --- What a published specification may hold -------------------------------------------------------------

COLUMNS_MAX: Final = 16_384
"""Columns (features) of a specification. A 64 x 64 colour image has 12,288 values; tables have far fewer."""

POINTS_MAX: Final = 4_096
"""Points of a published RKME. Its K x K kernel block is kept in float64: 128 MiB at this size."""

FLOATS_MAX: Final = 1_310_720
"""Values in the points of a published RKME; the reference engine's `max_reduced_set_size`."""

RESPONSES_MAX: Final = 1_000
"""Responses of a model at one point: ImageNet's class count, the largest output layer in common use."""

SHAPE_AXES_MAX: Final = 8
"""Axes of the original feature shape. Images have three, video four."""

COLUMN_NAME_CHARS_MAX: Final = 200
"""Characters of a column name; survey exports put whole questions there."""

UNIT_CHARS_MAX: Final = 40
"""Characters of a column's unit."""

EXTRACTOR_CHARS_MAX: Final = 100
"""Characters of a feature extractor's id."""

META_ENTRIES_MAX: Final = 32
"""Entries of the free map of a specification, which is for small scalars only."""

META_CHARS_MAX: Final = 500
"""Characters of one key or text value in that map."""

SPECIFICATION_BYTES_MAX: Final = 24 * 1024 * 1024
"""Bytes of an encoded specification: the largest points in float64, as many responses, and texts."""

MAGNITUDE_MAX: Final = 1e30
"""Largest absolute value of a point or marginal. Squares of larger float32 values overflow in the kernel."""

WEIGHT_SUM_TOLERANCE: Final = 1e-3
"""How far the sum of the weights may be from 1. Solvers of the weight problem stop near 1e-6."""

WEIGHT_NEGATIVE_TOLERANCE: Final = 1e-6
"""How far below 0 a weight read from the reference engine may be; such rounding becomes 0."""

# --- What a semantic specification may hold --------------------------------------------------------------

NAME_CHARS_MAX: Final = 100
"""Characters of a learnware's name."""

DESCRIPTION_CHARS_MAX: Final = 10_000
"""Characters of a learnware's description; the dock system's bound."""

FIELD_CHARS_MAX: Final = 1_000
"""Characters of one description of an input or output, of a class name, or of the intended use."""

TAGS_MAX: Final = 32
"""Free tags of a learnware."""

TAG_CHARS_MAX: Final = 40
"""Characters of one tag."""

CLASSES_MAX: Final = 1_000
"""Named classes of a classifier; see RESPONSES_MAX."""

REFERENCE_JSON_BYTES_MAX: Final = 64 * 1024 * 1024
"""Bytes of a `stat.json` of the reference engine: FLOATS_MAX values of about 20 digits, and braces."""

# --- Computation -----------------------------------------------------------------------------------------

BLOCK_FLOATS_MAX: Final = 1 << 22
"""Values of one kernel block that is held at a time: 16 MiB in float32, 32 MiB in float64."""

CACHED_FLOATS: Final = 1 << 18
"""Values of a block that stays in a core's cache: 1 MiB in float32."""

BANDWIDTH_POINTS_MAX: Final = 1_000
"""Points that the median distance is taken over; its error at 1,000 is about 1 %."""

HERD_ROWS_MAX: Final = 10_000
"""Rows that herding returns at most; each costs one pass over the candidates."""

HERD_CANDIDATES_MAX: Final = 20_000
"""Candidate rows of herding: 20 a row for the first thousand rows."""

# --- Sketches and the index ------------------------------------------------------------------------------

SKETCH_COLUMNS_MAX: Final = 64
"""Columns whose mean and spread a sketch holds; with more, a card would outgrow its 2 KiB."""

SKETCH_NOISE_MAX: Final = 0.5
"""Largest random error of a sketch, as a part of its numbers' range: beyond it nothing can be told apart."""

INDEX_SEGMENT_ROWS_MIN: Final = 64
"""Rows of an island's first segment: 36 KB at 30 columns, so that ten thousand small islands fit a disk."""

INDEX_SEGMENT_ROWS_MAX: Final = 16_384
"""Rows of a segment: one of its columns in float32 (64 KiB) and the work beside it stay in a core's cache."""

INDEX_ROWS_MAX: Final = 8_000_000
"""Cards of one index, about 4.5 GB of file; a node with more follows fewer islands."""

CANDIDATES_MAX: Final = 10_000
"""Candidates of one search; exact distances of more than a few hundred are seldom worth their time."""

ROWS_MAX: Final = 1 << 31
"""Rows of one data set; larger ones come in chunks."""

POINTS_DEFAULT: Final = 100
"""Points of an RKME when no size is given, as in the reference engine."""

ROWS_PER_POINT_MIN: Final = 10
"""Rows behind each point when no size is given, so that no point is one person's row."""

SAMPLE_ROWS_MAX: Final = 10_000
"""Rows that the points are fitted on; the weights use every row. On 100,000 x 30 rows of a Gaussian mixture
20,000 rows gave no lower MMD at twice the cost."""

FIT_STEPS_MAX: Final = 100
"""L-BFGS iterations. 300 lower the MMD by up to another 20 % at three times the cost."""

QP_WEIGHTS_MAX: Final = 1_024
"""Weights that the quadratic program solves for; above it the joint optimisation's own weights are kept."""

FLOAT64_ROWS_MAX: Final = 2_000
"""Sample rows up to which the data term is float64 as well: there it costs little and the MMD is small."""

MIX_MEMBERS_MAX: Final = 5
"""Members of a mix; the reference engine's bound, and more gained nothing where it was tried."""

MIX_CANDIDATES_MAX: Final = 25
"""Nearest learnwares that a mix is chosen from, as in the reference engine."""

CHUNK_POINTS_MAX: Final = 400
"""Points that a chunk is reduced to before chunks are merged: four times the final default."""

MERGE_POINTS_MAX: Final = 10_000
"""Points that a merge fits on; as SAMPLE_ROWS_MAX."""

NOISE_ROWS_MAX: Final = 2_000
"""Rows that the noise floor is measured on: a kernel block of 32 MiB."""

NOISE_SPLITS: Final = 100
"""Random halvings behind a noise floor; its 95 % quantile is then the mean of the fifth and sixth largest."""

PICTURE_COLUMNS_MAX: Final = 50
"""Columns that a picture or notebook table shows."""

PICTURE_ROWS_MAX: Final = 5_000
"""Rows that a picture shows; more are one grey mass."""

PICTURE_BARS_MAX: Final = 30
"""Candidates in a picture of distances."""

PICTURE_ISLANDS_MAX: Final = 9
"""Panels of the islands map: three by three."""

EXPOSURE_ROWS_MAX: Final = 1_000
"""Rows that the data's own nearest-neighbour distance is taken over; the median's error is about 3 %."""

EXPOSURE_ROWS_MIN: Final = 200
"""The same for large tables, where the error may be 7 %: a copy is ten times nearer than a neighbour."""

EXPOSURE_DISTANCES_MAX: Final = 20_000_000
"""Distances that this takes at most before fewer rows are looked at: about 0.2 s for 30 columns."""

# --- Texts and images ------------------------------------------------------------------------------------

TEXT_CHARS_MAX: Final = 10_000
"""Characters of a text that count; what a text is about has been said by then."""

CHARACTER_NGRAM_CHARS_MAX: Final = 500
"""Characters of a text that character n-grams are taken from: they are many, and cost more than words."""

BATCH_TEXTS_MAX: Final = 1_024
"""Texts that an extractor gets at a time; its intermediate matrices stay below some tens of MiB."""

TEXT_CACHE_ROWS_MAX: Final = 20_000
"""Rows of texts that are remembered, an extractor: 20 MB at 256 columns."""

LANGUAGE_TEXTS_MAX: Final = 200
"""Texts that the languages are read from; a share is then known to a few percent."""

LANGUAGE_CHARS_MAX: Final = 500
"""Characters of each of them; more change nothing."""

LANGUAGE_CHARS_MIN: Final = 20
"""Characters below which a text alone does not tell its language ("hello world" was taken for Fula)."""

IMAGE_SIDE_MIN: Final = 4
"""Pixels of an image's side; smaller arrays are something else, such as one image with its channels last."""

IMAGE_SIDE_MAX: Final = 16_384
"""Pixels of an image's side; larger ones are cut into tiles by whoever uses them."""

IMAGE_VALUES_AT_ONCE_MAX: Final = 1 << 22
"""Values of the images that are worked on at a time: 16 MiB in float32, and a few such arrays beside it."""

MATCHED_COLUMNS_MAX: Final = 32
"""Columns of a table that are matched with another's: about 2 s; the descent costs the fourth power of their
number, 64 took 20 s."""

RESPONSE_ROWS: Final = 10
"""Rows whose answers make one response of texts or images: as many as stand behind a point at least."""

RESPONSE_SAMPLE_ROWS_MAX: Final = 5_000
"""Texts or images that a model is asked for its responses: fifty a point, and minutes of a slow model."""
