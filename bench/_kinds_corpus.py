"""The 20 newsgroups as the benchmarks use them: messages, owners' models, and what is kept between runs.

Fitting fifty specifications to thousands of messages each takes minutes, and nothing of it depends on what
is done with them. With a folder the rows of all messages and every specification are kept there, by the hash
of the texts, and the figures of each draw, as soon as they are made: a run that was ended goes on where it
was. Throw the folder away when extractors or fits have changed, and its ``*.json`` when reusers have.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline

from skerry.spec import Rkme, fit_text
from skerry.spec.text import read_texts, text_features, text_key, text_memory


class Corpus:
    """The messages, and their word counts, which all owners' models share."""

    def __init__(self, folder: Path, *, every: int) -> None:
        import pandas as pd

        frames = [pd.read_parquet(folder / f"{part}.parquet")[::every] for part in ("train", "test")]
        frame = pd.concat(frames, ignore_index=True)
        self.texts: list[str] = frame["text"].tolist()
        self.labels = frame["label"].to_numpy()
        self.topics = np.array([group.split(".")[0] for group in frame["group"]])
        self.training = np.arange(len(frame)) < len(frames[0])
        self.places = {text: place for place, text in enumerate(self.texts)}
        vectoriser = CountVectorizer(stop_words="english").fit(frames[0]["text"])
        self.counts = vectoriser.transform(self.texts).tocsr()

    def of(self, topics: tuple[str, ...], *, training: bool) -> np.ndarray:
        """Return the places of the messages of some topics."""
        return np.flatnonzero(np.isin(self.topics, topics) & (self.training == training))


@dataclass
class Bayes:
    """An owner's model: what ``TfidfVectorizer`` and ``MultinomialNB`` fitted to its messages would be.

    The words that occur in the owner's messages are its vocabulary. Answers are remembered, a row a message.
    """

    corpus: Corpus
    own: np.ndarray
    known: dict[int, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        counts = self.corpus.counts[self.own]
        self.words = np.flatnonzero(counts.getnnz(axis=0))
        self.model = make_pipeline(TfidfTransformer(), MultinomialNB(alpha=0.1))
        self.model.fit(counts[:, self.words], self.corpus.labels[self.own])
        self.classes = self.model.classes_.tolist()

    def predict_proba(self, texts: Any) -> np.ndarray:
        places = [self.corpus.places[text] for text in texts]
        new = [place for place in dict.fromkeys(places) if place not in self.known]
        if new:
            answers = self.model.predict_proba(self.corpus.counts[new][:, self.words]).astype(np.float32)
            self.known.update(zip(new, answers, strict=True))
        return np.stack([self.known[place] for place in places])

    def predict(self, texts: Any) -> np.ndarray:
        return np.asarray(self.classes)[self.predict_proba(texts).argmax(axis=1)]


class Kept:
    """Rows and specifications of texts, kept in a folder where there is one."""

    def __init__(self, folder: Path | None, corpus: Corpus, extractor: str = "hashed") -> None:
        self._folder = folder
        self._extractor = extractor
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._remember(folder / f"{extractor}-{len(corpus.texts)}.npz", corpus)

    def fitted(self, texts: Sequence[str]) -> Rkme:
        """Return the specification of texts."""
        if self._folder is None:
            return fit_text(texts, extractor=self._extractor)
        keys = b"".join(text_key(text) for text in read_texts(texts))
        path = self._folder / f"{self._extractor}-{hashlib.sha256(keys).hexdigest()[:32]}.rkme"
        if not path.exists():
            path.write_bytes(fit_text(texts, extractor=self._extractor).to_bytes())
        return Rkme.from_bytes(path.read_bytes())

    def figures(self, name: str, measure: Callable[[], Any]) -> Any:
        """Return figures that can be written as JSON, measured unless they are kept under this name."""
        if self._folder is None:
            return measure()
        path = self._folder / f"{name}.json"
        if not path.exists():
            path.write_text(json.dumps(measure()), encoding="utf-8")
        return json.loads(path.read_text(encoding="utf-8"))

    def _remember(self, path: Path, corpus: Corpus) -> None:
        """Put the rows of all messages into the extractor's memory, from the file or to it."""
        memory, texts = text_memory(self._extractor), read_texts(corpus.texts)
        if not path.exists():
            rows = text_features(texts, self._extractor)
            np.savez(
                path, keys=np.array([np.frombuffer(text_key(text), np.uint8) for text in texts]), rows=rows
            )
        with np.load(path) as kept:
            for key, row in zip(kept["keys"], kept["rows"], strict=True):
                memory.put(key.tobytes(), row)
