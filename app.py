"""Need for Speed: the frame around the pages."""

import streamlit as st

st.set_page_config(page_title="Need for Speed", page_icon="assets/logo.svg", layout="wide")
# Streamlit's own "running" animation redraws all the time while a page waits for news; on the measured cores that costs.
# Nor may a live panel fade while it waits for news: nothing in it is stale.
st.html(
    "<style>[data-testid='stStatusWidget'] { display: none }"
    "[data-stale='true'] { opacity: 1 !important; transition: none !important }</style>"
)
page = st.navigation(
    [
        st.Page("pages/measure.py", title="Measure", icon=":material/speed:", default=True),
        st.Page("pages/compute.py", title="Compute", icon=":material/calculate:"),
        st.Page("pages/memory.py", title="Memory", icon=":material/memory:"),
        st.Page("pages/compression.py", title="Compression", icon=":material/compress:"),
        st.Page("pages/libraries.py", title="Code & libraries", icon=":material/code:"),
        st.Page("pages/hardware.py", title="Hardware", icon=":material/developer_board:"),
        st.Page("pages/machine.py", title="Machine", icon=":material/memory_alt:"),
        st.Page("pages/runs.py", title="Runs", icon=":material/history:"),
    ],
    position="top",
)
page.run()
