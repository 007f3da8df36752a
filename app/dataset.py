"""The page "The data": samples of each class, and how many images there are."""

from __future__ import annotations

import numpy as np
import streamlit as st

from app import show
from app.champion import Data, errors_shown, params, read_data
from components.common.idx import SPLITS

EVERY = "every class"
SHOWN = 40


def page() -> None:
    """Draws the page."""
    with errors_shown():
        settings = params()
        classes, data = settings.data.classes, read_data()
        show.header("What has it learned from?", "The images of the data set, and their classes.")
        counts = {split: np.bincount(data.splits[split][1], minlength=len(classes)) for split in SPLITS}
        show.facts(
            Data=data.version[:8],
            Size=f"{settings.data.width} x {settings.data.height} pixels, gray",
            Source=settings.card.data_source,
            Licence=settings.card.data_licence,
        )
    left, right = st.columns([2, 3], gap="large")
    with left:
        for split, title in zip(SPLITS, ("Images to learn from", "Images to test with"), strict=True):
            st.subheader(title, anchor=False)
            st.caption(f"{counts[split].sum():,} images")
            most = max(1, counts[split].max())
            rows = [(name, n / most, f"{n:,}") for name, n in zip(classes, counts[split], strict=True)]
            show.bars(rows, first=len(classes))
    with right:
        st.subheader("Samples", anchor=False)
        _samples(data, classes)


def _samples(data: Data, classes: list[str]) -> None:
    split_field, class_field, button = st.columns([3, 3, 2], vertical_alignment="bottom")
    split = split_field.selectbox("From", SPLITS, format_func=lambda name: f"{name} images")
    name = class_field.selectbox("Class", (EVERY, *classes))
    seed = st.session_state.setdefault("sample", 0)

    def others() -> None:
        st.session_state.sample = seed + 1

    button.button("Others", on_click=others, icon=":material/shuffle:", width="stretch")
    images, labels = data.splits[split]
    numbers = np.arange(len(labels)) if name == EVERY else np.flatnonzero(labels == classes.index(name))
    chosen = np.random.default_rng(seed).permutation(numbers)[:SHOWN]
    show.figures("grid", (show.figure(images[i], classes[labels[i]], f"image {i}") for i in chosen))
