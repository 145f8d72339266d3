"""What Streamlit runs for each visitor. It lives alone in its folder: Streamlit puts that folder on the import path."""

from torchglass.dashboard.login.gate import show_to_those_let_in
from torchglass.dashboard.navigation import show

show_to_those_let_in(show)
