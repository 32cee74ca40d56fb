import pytest
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest

from profiler.record.process import ROOT


@pytest.fixture
def app(tmp_path, monkeypatch):
    """The app with a store of its own and no spare worker."""
    import streamlit as st

    monkeypatch.setenv("NEED_FOR_SPEED_HOME", str(tmp_path))
    monkeypatch.setattr("profiler.record.jobs.Jobs.warm", lambda *args, **more: None)
    made = PagesManager.__init__

    def with_app_py(self, *args, **more):  # AppTest makes a new one for each run, as if each were a fresh server's first
        made(self, *args, **more)
        PagesManager.uses_pages_directory = False

    monkeypatch.setattr(PagesManager, "__init__", with_app_py)
    st.cache_resource.clear()
    return AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
