"""The page "The model": how good the champion is, and on which test images it is wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from app import show
from app.champion import card, errors_shown, find_champion, params, predicted, read_data
from components.common.idx import Bytes

ANY = "any class"
SHOWN = 48


def page() -> None:
    """Draws the page."""
    with errors_shown():
        champion = find_champion()
        show.header("How good is it?", "The champion on the test images, which it has never seen.", champion)
        classes, data = params().data.classes, read_data()
        images, labels = data.splits["test"]
        guesses = predicted(champion, data)
        if champion.data != data.version:
            st.info("It was trained on other data than that of this folder, on which it is measured here.")
    counts = np.zeros((len(classes), len(classes)), int)
    np.add.at(counts, (labels, guesses), 1)
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.subheader("Confusion matrix", anchor=False)
        st.caption("Rows: what it is. Columns: what the model says.")
        show.matrix(counts, classes)
    with right:
        st.subheader("Right by class", anchor=False)
        st.caption("The share of each class's images that the model names rightly.")
        _by_class(counts, classes)
    st.subheader("Mistakes", anchor=False)
    _gallery(images, labels, guesses, classes, counts)
    st.subheader("Model card", anchor=False)
    with st.expander("Intended use, limits, data, training, all figures"), errors_shown():
        st.markdown(card(champion))


def _by_class(counts: np.ndarray, classes: Sequence[str]) -> None:
    shares = counts.diagonal() / np.maximum(counts.sum(axis=1), 1)
    order = np.argsort(-shares, kind="stable")
    show.bars([(classes[row], shares[row], f"{shares[row]:.1%}") for row in order], first=len(classes))


def _gallery(
    images: Bytes, labels: Bytes, guesses: Bytes, classes: Sequence[str], counts: np.ndarray
) -> None:
    """The mistakes of a true and a predicted class; at first of the two that are confused most."""
    errors = counts - np.diag(counts.diagonal())
    worst = np.unravel_index(errors.argmax(), errors.shape)
    names = (ANY, *classes)
    left, right = st.columns(2)
    actual = left.selectbox("It is", names, int(worst[0]) + 1)
    guess = right.selectbox("The model says", names, int(worst[1]) + 1)
    chosen = labels != guesses
    for values, name in ((labels, actual), (guesses, guess)):
        if name != ANY:
            chosen = chosen & (values == classes.index(name))
    numbers = np.flatnonzero(chosen)
    st.caption(f"{len(numbers):,} of {len(labels):,} test images; shown: {min(SHOWN, len(numbers))}")
    show.figures(
        "grid",
        (
            show.figure(images[i], classes[labels[i]], f"not {classes[guesses[i]]}; image {i}")
            for i in numbers[:SHOWN]
        ),
    )
