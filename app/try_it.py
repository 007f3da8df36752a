"""The page "Try it": a picture, what the champion says of it, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from app import show
from app.champion import Data, as_text, errors_shown, find_champion, load, neighbours, params, read_data
from app.neighbours import Neighbours
from app.paste import paste
from components.predict.picture import read_picture, to_input
from components.predict.step import ranked
from components.predict.trend import shown_class

if TYPE_CHECKING:
    from PIL.Image import Image

    from app.network import Network
    from components.common.idx import Bytes, Probabilities

SUFFIXES = ["jpg", "jpeg", "png", "webp", "heic", "heif", "avif", "gif", "bmp", "tif", "tiff"]
UPLOAD, CAMERA, TEST = "Upload or paste", "Camera", "Test image"
SIMILAR = 10


@dataclass(frozen=True)
class Given:
    """What the user chose: a file's content, or an image of the test set with its label."""

    name: str
    content: bytes = b""
    image: Bytes | None = None
    label: str = ""


def page() -> None:
    """Draws the page."""
    with errors_shown():
        champion = find_champion()
        show.header("What is it?", "Give a picture of **one garment** on a plain background.", champion)
        given = _choose(params().data.classes)
        network = load(champion)  # the field is there while this takes its time
    if given is None:
        st.caption(f"No picture at hand? Choose “{TEST}” above.")
        return
    with errors_shown(given.name):
        picture, image = _read(given, network)
    values = network.probabilities(image[np.newaxis])[0]
    looks = network.occlusion(image, int(values.argmax()))
    left, right = st.columns(2, gap="medium")
    with left:
        _views(given, picture, image, looks)
    with right:
        _verdict(values, network.classes, given.label)
    with errors_shown():
        data = read_data()
        known = neighbours(champion, network, data)
        st.fragment(_similar, run_every=None if known.complete or known.error else 2)(
            known, network.features(image[np.newaxis])[0], data, network.classes
        )


def _choose(classes: Sequence[str]) -> Given | None:
    """The picture that the user gives; None as long as there is none."""
    source = st.segmented_control(
        "Where from", (UPLOAD, CAMERA, TEST), default=UPLOAD, required=True, label_visibility="collapsed"
    )
    if source == TEST:
        return _test_image(classes)
    if source == CAMERA:
        file = st.camera_input("Take a picture", label_visibility="collapsed", width=480)
    else:
        file = st.file_uploader("A picture", SUFFIXES, label_visibility="collapsed")
        paste()
    return Given(file.name, content=file.getvalue()) if file else None


def _test_image(classes: Sequence[str]) -> Given:
    """An image of the test set, by its number."""
    images, labels = read_data().splits["test"]

    def another() -> None:
        st.session_state.number = int(np.random.default_rng().integers(len(images)))

    st.session_state.number = min(st.session_state.get("number", 0), len(images) - 1)  # the data may change
    number_field, button = st.columns([1, 1], vertical_alignment="bottom")
    number = int(number_field.number_input("Number of the test image", 0, len(images) - 1, key="number"))
    button.button("Another one", on_click=another, icon=":material/shuffle:")
    return Given(f"Test image {number}", image=images[number], label=classes[labels[number]])


def _read(given: Given, network: Network) -> tuple[Image | Bytes, Bytes]:
    """The picture, small enough for the page, and the network's input."""
    if given.image is not None:
        return given.image, given.image
    picture = read_picture(given.content)
    image = to_input(picture, *network.loaded.image_size)
    if picture.mode not in {"L", "RGB", "RGBA"}:
        picture = picture.convert("RGB")
    picture.thumbnail((480, 480))
    return picture, image


def _views(given: Given, picture: Image | Bytes, image: Bytes, looks: Probabilities) -> None:
    height, width = image.shape
    show.figures(
        "views",
        (
            show.figure(picture, given.name, kind="pixels" if given.image is not None else "whole"),
            show.figure(image, "What the model sees", f"{width} x {height} pixels, gray"),
            show.figure(show.heat(image, looks), "Where it looks", "hide the orange, and it is less sure"),
        ),
    )


def _verdict(values: Probabilities, classes: tuple[str, ...], label: str) -> None:
    bound = params().predict.not_sure_below
    order = ranked(values, classes, len(classes))
    name, probability = order[0]
    sure = shown_class(name, probability, bound) == name
    text = f"{probability:.1%} probable" if sure else f"perhaps {name}, {probability:.1%} probable"
    if label:
        text += f"; labelled {label}"
    show.verdict(name if sure else "Not sure", text)
    show.bars([(each, value, f"{value:.1%}") for each, value in order], first=int(sure))


def _similar(known: Neighbours, features: Probabilities, data: Data, classes: tuple[str, ...]) -> None:
    st.subheader("Most similar training images", anchor=False)
    if known.error:
        st.warning(as_text(f"They cannot be shown: {known.error}"))
        return
    images, labels = data.splits["train"]
    show.figures(
        "row",
        (
            show.figure(images[index], classes[labels[index]], f"{similarity:.0%} similar")
            for index, similarity in known.nearest(features, SIMILAR)
        ),
    )
    if not known.complete:
        st.progress(known.done / known.total, f"Compared with {known.done:,} of {known.total:,} so far")
