"""The pages of the app. `fashion app` runs this file with Streamlit, in the folder of a project."""

from pathlib import Path

import streamlit as st

from app import dataset, mistakes, show, trends, try_it

ICON = str(Path(__file__).with_name("icon.svg"))  # a named symbol would come from a web site

st.set_page_config(page_title="Fashion", page_icon=ICON, layout="wide")
st.html(show.STYLE)
st.navigation(
    [
        st.Page(try_it.page, title="Try it", icon=":material/photo_camera:", url_path="try", default=True),
        st.Page(mistakes.page, title="The model", icon=":material/insights:", url_path="model"),
        st.Page(dataset.page, title="The data", icon=":material/grid_view:", url_path="data"),
        st.Page(trends.page, title="Trends", icon=":material/trending_up:", url_path="trends"),
    ],
    position="top",
).run()
