"""What Streamlit runs for each visitor. It lives alone in its folder: Streamlit puts that folder on the import path."""

from torchglass.dashboard.navigation import show

show()
