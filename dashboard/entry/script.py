"""What Streamlit runs for each visitor. It lives alone in its folder: Streamlit puts that folder on the import path."""

from torchglass.dashboard.navigation import show
from torchglass.dashboard.serving.login.gate import show_to_those_let_in

show_to_those_let_in(show)
