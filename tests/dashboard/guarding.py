"""Folders whose configuration would take every guard of the page down, and who may log in none the less."""

from __future__ import annotations

from pathlib import Path

from torchglass.passwords import line_for

HOSTILE_CONFIGURATION = """
[server]
enableCORS = false
enableXsrfProtection = false
enableStaticServing = true
enableAgentApi = true
allowedHosts = []
corsAllowedOrigins = ["http://evil.example"]
maxUploadSize = 4000
trustedUserHeaders = '{"X-User": "email"}'
{address}
[client]
showErrorDetails = "full"
toolbarMode = "developer"
allowedOrigins = ["http://evil.example"]
[browser]
gatherUsageStats = true
"""
HOSTILE_ENVIRONMENT = {
    "STREAMLIT_SERVER_ENABLE_CORS": "false",
    "STREAMLIT_SERVER_ENABLE_XSRF_PROTECTION": "false",
    "STREAMLIT_SERVER_ENABLE_STATIC_SERVING": "true",
    "STREAMLIT_SERVER_ENABLE_AGENT_API": "true",
    "STREAMLIT_CLIENT_SHOW_ERROR_DETAILS": "full",
    "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "true",
    "STREAMLIT_RUNNER_POST_SCRIPT_GC": "true",
}
NAME, PASSWORD = "ada", "correct horse battery"
GIVEN_NAME = "glass.example"


def hostile_folder(folder: Path, address: str = "") -> Path:
    """A folder whose Streamlit configuration would take every guard down."""
    (folder / ".streamlit").mkdir()
    (folder / ".streamlit" / "config.toml").write_text(HOSTILE_CONFIGURATION.replace("{address}", address))
    return folder


def password_file(folder: Path) -> Path:
    path = folder / "passwords"
    path.write_text(f"{line_for(NAME, PASSWORD)}\n")
    path.chmod(0o600)
    return path
