"""The page "Trends": what many pictures show, and how that changes over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from io import StringIO
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import streamlit as st

from app import show
from app.champion import errors_shown, find_champion, load, params
from app.try_it import SUFFIXES
from app.unzip import Room, unzip
from components.common.errors import DataError
from components.predict.files import Row, to_row, write_csv
from components.predict.step import Prediction, Source, predict_pictures
from components.predict.trend import UNDATED, Trend, class_trend, draw_trend

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

    from app.network import Network

FILES, FOLDER = "Pictures or zip files", "A folder"
SHOWN, LINES = 96, 5
COLOURS = (
    *("#6366f1", "#ff8a00", "#10b981", "#ef4444", "#0ea5e9"),
    *("#a855f7", "#b45309", "#ec4899", "#84cc16", "#eab308", "#9ca3af"),
)
"""Of the lines, by class; the last one is that of pictures of which the model is not sure."""


def page() -> None:
    """Draws the page."""
    with errors_shown():
        champion = find_champion()
        show.header("What are people wearing?", "Give many pictures, **one garment** on each.", champion)
        network = load(champion)
    way = st.segmented_control(
        "Where from", (FILES, FOLDER), default=FILES, required=True, label_visibility="collapsed"
    )
    many: Any = "directory" if way == FOLDER else True
    files = st.file_uploader(
        "Pictures", [*SUFFIXES, "zip"], accept_multiple_files=many, label_visibility="collapsed", key=way
    )
    if not files:
        return
    found, room = [], Room()
    for file in files:
        found += _sources(file, room)
    with errors_shown():
        predictions = _predictions(network, found, (champion.number, *(file.file_id for file in files)))
    _report(predictions, network.classes)


def _sources(file: UploadedFile, room: Room) -> list[tuple[Source, date | None]]:
    """The pictures of an uploaded file with their days; a zip file that is refused counts as one of them."""

    def refuse(error: DataError) -> bytes:
        raise error

    if not file.name.lower().endswith(".zip"):
        return [(Source(file.name, file.getvalue), None)]
    try:
        return unzip(file, room)
    except DataError as error:
        return [(Source(file.name, partial(refuse, error)), None)]


def _predictions(network: Network, found: Sequence[tuple[Source, date | None]], key: Any) -> list[Prediction]:
    """The predictions, made once for the same files and the same champion."""
    if st.session_state.get("predicted", (None,))[0] != key:
        bar, made = st.progress(0.0, "Reading the pictures"), []
        outcomes = predict_pictures(network.loaded, [source for source, _ in found])
        for prediction, (_, day) in zip(outcomes, found, strict=True):
            made.append(replace(prediction, taken=prediction.taken or day))
            if len(made) % 50 == 0:
                bar.progress(len(made) / len(found), f"{len(made):,} of {len(found):,} pictures")
        bar.empty()
        st.session_state.predicted = (key, made)
    predictions: list[Prediction] = st.session_state.predicted[1]
    return predictions


def _report(predictions: Sequence[Prediction], classes: Sequence[str]) -> None:
    rows: list[Row] = []
    pictures: list[str] = []
    for each in predictions:
        if each.probabilities is None or each.image is None:
            continue
        row = to_row(each, each.probabilities, classes, params().predict, {}, file_times=False)
        rows.append(row)
        if len(pictures) < SHOWN:
            note = f"{row.best[0][1]:.0%}, {PurePosixPath(row.file).name}"
            pictures.append(show.figure(each.image, row.shown, note))
    failed = [(each.file, each.error) for each in predictions if each.probabilities is None]
    if failed:
        st.warning(
            f"{len(failed):,} of {len(predictions):,} files could not be read; they are not counted.",
            icon=":material/warning:",
        )
        with st.expander("Which files, and why", expanded=not rows):
            st.dataframe(
                {"file": [name for name, _ in failed], "why": [why for _, why in failed]}, hide_index=True
            )
    if not rows:
        return
    trend = class_trend(((row.shown, row.date) for row in rows), classes)
    _draw(trend)
    left, right, _ = st.columns([1, 1, 2])
    left.download_button("Predictions (CSV)", _csv(rows), "predictions.csv", "text/csv", width="stretch")
    right.download_button("Trend (PNG)", draw_trend(trend), "trend.png", "image/png", width="stretch")
    st.subheader("The pictures", anchor=False)
    st.caption(f"As the model sees them; shown: {len(pictures):,} of {len(rows):,}")
    show.figures("grid", pictures)


def _draw(trend: Trend) -> None:
    total = sum(trend.totals)
    order = sorted(range(len(trend.classes)), key=lambda place: -trend.totals[place])
    st.subheader(f"{total:,} pictures", anchor=False)
    most = max(trend.totals)
    show.bars(
        [
            (trend.classes[i], trend.totals[i] / most, f"{trend.totals[i]:,} ({trend.totals[i] / total:.0%})")
            for i in order
        ],
        first=len(order),
    )
    dated = [place for place, period in enumerate(trend.periods) if period != UNDATED]
    if len(dated) > 1:
        st.subheader("Over time", anchor=False)
        names = [trend.classes[i] for i in order if trend.totals[i]]
        chosen = st.multiselect("Classes", names, names[:LINES])
        places = [trend.classes.index(name) for name in chosen]
        lines = {trend.classes[i]: [100 * trend.shares[place][i] for place in dated] for i in places}
        st.line_chart(
            {"period": [trend.periods[place] for place in dated]} | lines,
            x="period",
            y=chosen,
            x_label="",
            y_label="% of the period's pictures",
            color=[COLOURS[i % len(COLOURS)] for i in places],
        )


def _csv(rows: Sequence[Row]) -> str:
    text = StringIO(newline="")
    write_csv(text, rows)
    return text.getvalue()
