"""Every page begins with this: a link straight to a page must not skip app.py.

Until st.navigation has run once in a process, Streamlit takes a folder `pages/` for its older kind of multipage app and
opens the page's file alone: no frame, no page config. Flipping the flag and running again mends it for the whole process.
"""

import streamlit as st

try:
    from streamlit.runtime import pages_manager
except ImportError:  # a Streamlit without the older kind has nothing to mend
    pages_manager = None  # type: ignore[assignment]  # a module, or nothing where there is none


def guard() -> None:
    """Let app.py run first when this page was opened without it."""
    manager = getattr(pages_manager, "PagesManager", None)
    if manager and getattr(manager, "uses_pages_directory", False):
        manager.uses_pages_directory = False
        st.rerun()
